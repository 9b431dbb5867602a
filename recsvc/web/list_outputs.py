"""What goes out of pages, rankings and batches, as pydantic models."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from recsvc.web.outputs import ListReply, Out


class PageReply(Out):
    """The lists of a page, in the order of its blocks, all of one model."""

    customer_id: str | None
    model_version: str | None
    generated_at: datetime
    blocks: list[ListReply]


class RankedItem(Out):
    """One of the caller's items. score: 0 where the model has no word on it."""

    item_id: str
    slot: int
    score: float
    propensity: float


class NotRanked(Out):
    """One of the caller's items that is not shown. code: unknown, not in the catalogue; unavailable, out of stock,
    inactive or outside its dates; bad_outcomes, returned too often."""

    item_id: str
    code: Literal["unknown", "unavailable", "bad_outcomes"]


class RankReply(Out):
    """The caller's items in the order of a customer."""

    recommendation_id: str
    customer_id: str
    placement: str
    model_version: str | None
    variant: str
    source: Literal["personal", "live", "fallback"]
    fallback: str | None
    generated_at: datetime
    items: list[RankedItem]
    not_ranked: list[NotRanked]
