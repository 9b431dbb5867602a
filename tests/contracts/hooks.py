"""What schemathesis must know beyond the document, because no JSON Schema can say it.

A filter is a small language; an end comes after its start; what happened lies in the past; an event under another system's names has that system's
form.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import schemathesis
from hypothesis import strategies as st

from recsvc.engine import conditions, filters
from recsvc.errors import InvalidRequest
from recsvc.foreign import SOURCES
from recsvc.intake import LATEST, identifier

MOMENTS = st.datetimes(datetime(1990, 1, 2), datetime(2025, 1, 1)).map(
    lambda at: at.isoformat(timespec="seconds") + "Z"
)
schemathesis.openapi.format("date-time", MOMENTS)
_SPANS = (("starts_at", "ends_at"), ("available_from", "available_to"))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Move what is valid by the document to where it can be true. What is not valid stays as it is."""
    if isinstance(case.body, dict):
        for name in ("match", "filters", "filter", "eligibility"):
            if name in case.body and _too_large(case.body[name], conditions if name == "eligibility" else filters):
                case.body[name] = None if name == "eligibility" else {}
        for start, end in _SPANS:
            if case.body.get(end) is not None and case.body.get(start) is not None:
                case.body[start] = None
        told = case.body.get("session")
        for one in [case.body, *(told if isinstance(told, list) else [])]:
            if isinstance(one, dict) and _to_come(one.get("occurred_at")):
                one["occurred_at"] = int(time.time())
        _scored(case)
    if case.query and isinstance(case.query.get("filter"), str):
        case.query["filter"] = "{}"
    _placed(case)
    _one_of_two(case)
    if case.query and case.query.get("source") in SOURCES:
        case.query["source"] = "native"


def _too_large(value: Any, language: Any = filters) -> bool:
    """Whether a filter or a condition has more parts or levels than one may have: no schema can count them."""
    try:
        language.parse(value)
    except InvalidRequest as error:
        most, deepest = language.MAX_NODES, language.MAX_DEPTH
        return f"more than {most}" in error.message or f"deeper than {deepest}" in error.message
    return False


def _placed(case: Any) -> None:
    """Name a placement that exists where any valid id stands, and no other rule or placement than the path does."""
    body = case.body if isinstance(case.body, dict) else {}
    for name in case.path_parameters or {}:
        if _is_id(body.get(name)):
            body[name] = None  # the path says it
    blocks = body.get("blocks") if isinstance(body.get("blocks"), list) else []
    lines = case.body if isinstance(case.body, list) else []
    for part in (case.query, body, *blocks, *lines):
        if isinstance(part, dict) and _is_id(part.get("placement")):
            part["placement"] = "home"


def _one_of_two(case: Any) -> None:
    """Ask for an explanation of an item or of an offer, never of both or neither."""
    if case.operation.path != "/v1/explain" or not case.query:
        return
    if _is_id(case.query.get("item_id")) and _is_id(case.query.get("offer_id")):
        del case.query["offer_id"]
    if "item_id" not in case.query and "offer_id" not in case.query:
        case.query["item_id"] = "coffee-00"


def _is_id(value: Any) -> bool:
    try:
        return bool(identifier(value))
    except ValueError:
        return False


def _scored(case: Any) -> None:
    """Answer a link with a score that every question has: which others there are, the link says."""
    score = case.body.get("score")
    if case.path == "/s/{token}" and type(score) in (int, float) and score in range(11):
        case.body["score"] = min(max(int(score), 1), 5)


def _to_come(at: Any) -> bool:
    """Whether it is a moment the document allows and the clock does not yet."""
    if isinstance(at, str):
        try:
            at = datetime.fromisoformat(at).timestamp()
        except ValueError:
            return False
    return isinstance(at, (int, float)) and time.time() < at < LATEST.timestamp()
