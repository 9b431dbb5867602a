"""Timing over HTTP."""

from __future__ import annotations

from datetime import datetime

from flask import Response

from recsvc.flows import replies, timing
from recsvc.web.contract import Route, read_query
from recsvc.web.lists import shop
from recsvc.web.outputs import Out
from recsvc.web.schemas import Nothing


class TimingReply(Out):
    """When a customer orders next. Null where there is no order to tell from. churn_probability: that they have stopped
    ordering here. ranked_channel_affinity: channels by what the customer did through them, the latest counting most.
    orders, last_order_at: what the first three were made from."""

    customer_id: str
    expected_date_of_next_order: datetime | None
    average_days_between_orders: float | None
    churn_probability: float | None
    ranked_channel_affinity: list[str]
    orders: int
    last_order_at: datetime | None
    generated_at: datetime
    model_version: str | None


def of_customer(customer_id: str) -> Response:
    """Answer a customer's timing."""
    read_query(Nothing)
    found = timing.of_customer(shop(), customer_id)
    out = Response(replies.encode(found.reply), content_type="application/json")
    out.headers["Cache-Control"] = "private, no-cache"
    if found.degraded:
        out.headers["X-Degraded"] = ", ".join(found.degraded)
    return out


ROUTES = [
    Route("GET", "/v1/customers/{customer_id}/timing", "When a customer orders next, and whether they still do",
          of_customer, scope="campaign", query=Nothing, reply=TimingReply),
]  # fmt: skip
