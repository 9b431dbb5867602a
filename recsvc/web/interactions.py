"""Interactions, surveys and merges over HTTP: one object, an array, or a stream of lines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from flask import Response, request

from recsvc.concepts import KINDS
from recsvc.errors import InvalidRequest, RecsvcError, TooLarge
from recsvc.flows import interactions
from recsvc.flows.interactions import Receipt as Outcome
from recsvc.flows.interactions import Replay
from recsvc.foreign import native
from recsvc.intake import read_json
from recsvc.web.contract import Route, body_bytes, idempotency_key, ndjson_lines, read_body, read_query, validated
from recsvc.web.lists import shop
from recsvc.web.outputs import Merged, Receipt
from recsvc.web.schemas import InteractionBody, InteractionsQuery, MergeBody, Nothing, SurveyBody

MAX_ROWS = 1000
NDJSON = "application/x-ndjson"
Rows = list[dict[str, Any]]
Check = Callable[[Any], Rows]
Store = Callable[[Rows, Rows, Replay | None], Outcome]


def post() -> Response:
    """Store interactions; the answer comes after the commit."""
    source = read_query(InteractionsQuery).source

    def check(value: Any) -> Rows:
        return [checked(one) for one in native(source, value)]

    return _take(check, lambda rows, refused, replay: interactions.record(shop(), rows, refused, replay))


def post_surveys() -> Response:
    """Store survey answers; the answer comes after the commit."""
    read_query(Nothing)
    return _take(_survey, lambda rows, refused, replay: interactions.record_surveys(shop(), rows, refused, replay))


def merge(customer_id: str) -> Response:
    """Let an anonymous session count for a customer."""
    body = read_body(MergeBody)
    key = idempotency_key()
    replay = Replay(key, f"{customer_id}\n{body.session_id}".encode()) if key else None
    found = interactions.merge(shop(), customer_id, body.session_id, replay)
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
    given_fields = body.model_dump(exclude_none=True)
    given_fields.setdefault("occurred_at", datetime.now(UTC))
    return given_fields


def _survey(value: Any) -> Rows:
    if not isinstance(value, dict):
        raise InvalidRequest("body: must be a JSON object")
    body = validated(SurveyBody, value)
    low, high = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7)}[body.kind]
    if not low <= body.score <= high:
        why = f"{body.score}, must be {low} to {high} for {body.kind}"
        raise InvalidRequest(f"score: {why}", {"score": why})
    return [{"occurred_at": datetime.now(UTC), **body.model_dump(exclude_none=True)}]


def _take(check: Check, store: Store) -> Response:
    """Read an object, an array or lines, store what is valid, and say what became of each.

    A single object that is wrong is an error of the request; in an array or a stream it is a row of `rejected`.
    """
    key = idempotency_key()
    if request.mimetype == NDJSON:
        return _reply(_stream(check, store, key))
    data = body_bytes()
    replay = Replay(key, data) if key else None
    value = read_json(data)
    if not isinstance(value, list):
        return _reply(store(check(value), [], replay))
    if len(value) > MAX_ROWS:
        raise TooLarge(f"body: {len(value)} rows, at most {MAX_ROWS}; send lines as {NDJSON}")
    rows, refused = _sort(enumerate(value), check)
    return _reply(store(rows, refused, replay))


def _stream(check: Check, store: Store, key: str | None) -> Outcome:
    """Store a stream chunk by chunk; each chunk is a commit of its own, so memory stays flat."""
    total = Outcome(rejected=[])
    place = untold = 0
    for number, lines in enumerate(ndjson_lines()):
        numbered = [(place + n, line) for n, line in enumerate(lines) if line.strip()]
        rows, refused = _sort(numbered, lambda line: check(read_json(line)))
        replay = Replay(f"{key}#{number}", b"".join(lines)) if key else None
        found = store(rows, refused, replay)
        total.accepted += found.accepted
        total.duplicates += found.duplicates
        told = MAX_ROWS - len(total.rejected)
        total.rejected += found.rejected[:told]
        untold += len(found.rejected[told:])
        place += len(lines)
    if untold:  # a stream has no bound, its answer must have one
        total.rejected.append({"index": place, "code": "more", "message": f"and {untold} more were refused"})
    return total


def _sort(numbered: Any, check: Check) -> tuple[Rows, Rows]:
    """Return what is valid, and for the rest its place, the field and the reason."""
    rows: Rows = []
    refused: Rows = []
    for index, value in numbered:
        try:
            rows += check(value)
        except RecsvcError as error:
            code = next(iter(error.fields), "body")
            refused.append({"index": index, "code": code, "message": error.message})
    return rows, refused


def _reply(found: Outcome) -> Response:
    return Response(msgspec.json.encode(found), content_type="application/json")


ROUTES = [
    Route("POST", "/v1/interactions", "Store interactions; acknowledged after the commit", post,
          query=InteractionsQuery, body=InteractionBody, reply=Receipt, many=True),
    Route("POST", "/v1/surveys", "Store answers to surveys", post_surveys, body=SurveyBody, reply=Receipt, many=True),
    Route("POST", "/v1/customers/{customer_id}/merge", "Let an anonymous session count for a customer", merge,
          body=MergeBody, reply=Merged),
]  # fmt: skip
