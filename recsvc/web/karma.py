"""Karma over HTTP: for whoever looks after customers and items. Customers never see the word."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from flask import Response

from recsvc.flows import karma
from recsvc.flows.replies import encode
from recsvc.web.contract import Route, read_query
from recsvc.web.lists import shop
from recsvc.web.outputs import Out
from recsvc.web.schemas import Nothing


class Let(Out):
    """One thing that counts against the shop: the points it has now, 0 where it was resolved."""

    code: Literal["complaint", "delivery_late", "detractor", "low_satisfaction", "hard_effort"]
    occurred_at: datetime
    points: float
    ref: str | None
    resolved_at: datetime | None


class CustomerKarma(Out):
    """What stands between a customer and the shop, -10 to 10; promotions pause at `paused_at` and below. parts: newest
    first."""

    customer_id: str
    karma: float
    open_complaint: bool
    promotions_paused: bool
    paused_at: float
    generated_at: datetime
    parts: list[Let]


class BadEnd(Out):
    """A way in which orders of an item ended badly: how many, and what each weighs. defect: whether it counts for
    `bad_outcomes`."""

    kind: Literal["return", "complaint", "review"]
    reason: str
    count: float
    weight: float
    defect: bool


class ItemParts(Out):
    """What an item's karma was made from: (sum of count x weight + shrink x category_rate) / (orders + shrink). One
    customer counts for four orders at most. defect_rate: the same of defects alone."""

    orders: float
    category: str | None
    category_rate: float
    defect_rate: float
    shrink: float
    force: float
    banned_rate: float
    banned_orders: float
    outcomes: list[BadEnd]


class ItemKarma(Out):
    """The part of an item's orders that ended badly, and what its scores are multiplied by; 0 where it is in no list.
    karma and parts are null where the model in use does not say."""

    item_id: str
    karma: float | None
    multiplier: float
    proposed: bool
    code: Literal["bad_outcomes"] | None
    parts: ItemParts | None
    model_version: str | None
    generated_at: datetime


def of_customer(customer_id: str) -> Response:
    """Answer a customer's karma."""
    read_query(Nothing)
    return _reply(karma.of_customer(shop(), customer_id))


def of_item(item_id: str) -> Response:
    """Answer an item's karma."""
    read_query(Nothing)
    return _reply(karma.of_item(shop(), item_id))


def _reply(value: dict[str, Any]) -> Response:
    out = Response(encode(value), content_type="application/json")
    out.headers["Cache-Control"] = "private, no-cache"
    return out


ROUTES = [
    Route("GET", "/v1/customers/{customer_id}/karma", "What stands between a customer and the shop", of_customer,
          scope="admin", query=Nothing, reply=CustomerKarma),
    Route("GET", "/v1/items/{item_id}/karma", "How orders of an item ended, and what that does to its place", of_item,
          scope="admin", query=Nothing, reply=ItemKarma),
]  # fmt: skip
