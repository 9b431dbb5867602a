"""Interactions, surveys and merges over HTTP: one object, an array, or a stream of lines."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from flask import Response

from recsvc.concepts import KINDS, NOTHING
from recsvc.errors import InvalidRequest
from recsvc.flows import interactions
from recsvc.flows.interactions import Receipt as Outcome
from recsvc.flows.interactions import Replay
from recsvc.foreign import apart, native
from recsvc.web.bulk import replay, take
from recsvc.web.contract import Route, read_body, read_query, validated
from recsvc.web.lists import shop
from recsvc.web.outputs import Merged, Receipt
from recsvc.web.schemas import SCORES, InteractionBody, InteractionsQuery, MergeBody, Nothing, SurveyBody

Rows = list[dict[str, Any]]


def post() -> Response:
    """Store interactions; the answer comes after the commit."""
    source = read_query(InteractionsQuery).source

    def check(value: Any) -> Rows:
        return [checked(one) for one in native(source, value)]

    def store(rows: Rows, refused: Rows, once: Replay | None) -> Outcome:
        return interactions.record(shop(), rows, refused, once)

    return take(check, store, partial(apart, source))


def post_surveys() -> Response:
    """Store survey answers; the answer comes after the commit."""
    read_query(Nothing)
    return take(_survey, lambda rows, refused, once: interactions.record_surveys(shop(), rows, refused, once))


def merge(customer_id: str) -> Response:
    """Let an anonymous session count for a customer."""
    body = read_body(MergeBody)
    found = interactions.merge(shop(), customer_id, body.session_id, replay(body.session_id.encode()))
    return Response(msgspec.json.encode(found), content_type="application/json")


def checked(value: Any) -> dict[str, Any]:
    """Return one interaction whose fields are all valid, `occurred_at` filled in.

    Raises:
        InvalidRequest: names the field.
    """
    if not isinstance(value, dict):
        raise InvalidRequest("body: must be a JSON object")
    body = validated(InteractionBody, value)
    kind = KINDS[body.kind]
    for needed, name, given in (
        (body.session_id is None, "customer_id", body.customer_id), (kind.needs_item, "item_id", body.item_id),
        (kind.needs_offer, "offer_id", body.offer_id),
    ):  # fmt: skip
        if needed and given is None:
            why = f"is missing; {body.kind} needs it" if name != "customer_id" else "is missing, and so is session_id"
            raise InvalidRequest(f"{name}: {why}", {name: why})
    if body.kind == "purchase" and body.quantity == 0:
        raise InvalidRequest(f"quantity: {NOTHING}", {"quantity": NOTHING})
    given_fields = {name: given for name, given in body.__dict__.items() if given is not None}
    given_fields.setdefault("occurred_at", datetime.now(UTC))
    return given_fields


def _survey(value: Any) -> Rows:
    if not isinstance(value, dict):
        raise InvalidRequest("body: must be a JSON object")
    body = validated(SurveyBody, value)
    low, high = SCORES[body.kind]
    if not low <= body.score <= high:
        why = f"{body.score}, must be {low} to {high} for {body.kind}"
        raise InvalidRequest(f"score: {why}", {"score": why})
    return [{"occurred_at": datetime.now(UTC), **body.model_dump(exclude_none=True)}]


ROUTES = [
    Route("POST", "/v1/interactions", "Store interactions; acknowledged after the commit", post, scope="storefront",
          query=InteractionsQuery, body=InteractionBody, reply=Receipt, many=True),
    Route("POST", "/v1/surveys", "Store answers to surveys", post_surveys, scope="storefront", body=SurveyBody,
          reply=Receipt, many=True),
    Route("POST", "/v1/customers/{customer_id}/merge", "Let an anonymous session count for a customer", merge,
          scope="storefront", body=MergeBody, reply=Merged),
]  # fmt: skip
