"""Why and why not, over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from flask import Response
from pydantic import Field, RootModel

from recsvc.errors import InvalidRequest
from recsvc.flows import explain, explain_offer
from recsvc.flows.offers import Asked
from recsvc.flows.replies import encode
from recsvc.web.contract import Route, read_query
from recsvc.web.lists import shop
from recsvc.web.offers import Reached
from recsvc.web.outputs import OfferReason, Out, ReasonOut
from recsvc.web.schemas import Id, In, Limit, Placement


class ExplainQuery(In):
    """Whom and what to explain."""

    customer_id: Id
    item_id: Id | None = Field(None, description="The item; or an offer.")
    offer_id: Id | None = Field(None, description="The offer; or an item.")
    placement: Placement = "home"
    channel: Reached | None = None
    limit: Limit = 10


class Part(Out):
    """What one generator says of the item, and what that adds to its blended score."""

    generator: str
    score: float
    part: float


class Acting(Out):
    """A rule of the placement that is about the item."""

    rule_id: str
    action: str


class Ground(Out):
    """A ground why an item is absent. at: when that came to be; rule_id: whose doing; item_id: what stands there
    instead."""

    code: Literal[
        "unknown_item", "inactive", "not_yet_available", "no_longer_available", "out_of_stock", "bad_outcomes",
        "sensitive", "placement_filter", "rule", "in_cart", "bought_lately", "returned", "disliked", "variant",
        "max_per", "below_relevance", "below_rank", "not_in_model", "no_profile",
    ]  # fmt: skip
    detail: str
    at: datetime | None
    rule_id: str | None
    item_id: str | None


class ExplainReply(Out):
    """Why an item is shown, or why not. rank: its place among the first thousand; last_score: of the last item shown;
    made_by: the generator that spoke most for it. absent: every ground, the decisive one first."""

    customer_id: str
    item_id: str
    placement: str
    model_version: str | None
    generated_at: datetime
    source: str
    fallback: str | None
    shown: bool
    slot: int | None
    rank: int | None
    score: float | None
    last_score: float | None
    made_by: str | None
    parts: list[Part]
    reasons: list[ReasonOut]
    rules: list[Acting]
    absent: list[Ground]


class OfferGround(Out):
    """The ground why an offer does not come."""

    code: str
    detail: str


class ExplainOfferReply(Out):
    """Why a customer gets an offer, or why not. rank: its place among those that nothing refuses alone. goodwill: the
    balance between the customer and the shop, −10 to 10; promotions pause at −2 and below."""

    customer_id: str
    offer_id: str
    channel: str | None
    model_version: str | None
    generated_at: datetime
    shown: bool
    slot: int | None
    rank: int | None
    score: float | None
    p_redeem: float | None
    goodwill: float
    reasons: list[OfferReason]
    absent: list[OfferGround]


class Explained(RootModel[ExplainReply | ExplainOfferReply]):
    """Of an item, or of an offer."""


def explained() -> Response:
    """Answer why a customer sees an item or an offer, or why not."""
    query = read_query(ExplainQuery)
    if (query.item_id is None) == (query.offer_id is None):
        raise InvalidRequest("item_id: must be given, or offer_id", {"item_id": "must be given, or offer_id"})
    if query.offer_id is not None:
        asked = Asked(query.limit, query.channel)
        found = explain_offer.explain(shop(), query.customer_id, query.offer_id, asked)
    else:
        assert query.item_id is not None
        found = explain.explain(shop(), query.customer_id, query.item_id, query.placement, query.limit)
    out = Response(encode(found), content_type="application/json")
    out.headers["Cache-Control"] = "private, no-cache"
    return out


ROUTES = [
    Route("GET", "/v1/explain", "Why a customer sees an item or an offer, or why not", explained, scope="admin",
          query=ExplainQuery, reply=Explained),
]  # fmt: skip
