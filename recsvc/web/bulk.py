"""Writes in bulk: one object, an array of at most 1,000, or a stream of lines; one bad row never fails the rest."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from flask import Response, request

from recsvc.errors import RecsvcError, TooLarge
from recsvc.flows.interactions import Receipt as Outcome
from recsvc.flows.interactions import Replay
from recsvc.strict_json import elements, read_json
from recsvc.web.contract import MAX_BODY, body_bytes, idempotency_key, ndjson_lines

MAX_ROWS = 1000
NDJSON = "application/x-ndjson"
Rows = list[dict[str, Any]]
Check = Callable[[Any], Rows]
Apart = Callable[[Any], list[Any]]
Store = Callable[[Rows, Rows, Replay | None], Outcome]


def _one(value: Any) -> list[Any]:
    return [value]


def take(check: Check, store: Store, apart: Apart = _one) -> Response:
    """Read an object, an array or lines, store what is valid, and say what became of each.

    A single object that is wrong is an error of the request; in an array or a stream it is a row of `rejected`.

    Args:
        apart: the rows that one value holds; of several in a single object each has its own place in `rejected`.
    """
    if request.mimetype == NDJSON:
        return _reply(_stream(check, store, apart))
    data = body_bytes()
    once = replay(data)
    try:
        value = read_json(data)
    except RecsvcError:
        parts = elements(data)  # an array of which one element is no strict JSON: the others are taken
        if parts is None:
            raise
        value = parts
        apart = partial(_unread, apart)
    if not isinstance(value, list):
        value = apart(value)
        if len(value) == 1:
            return _reply(store(check(value[0]), [], once))
        apart = _one
    if len(value) > MAX_ROWS:
        raise TooLarge(f"body: {len(value)} rows, at most {MAX_ROWS}; send lines as {NDJSON}")
    rows, refused = _sort(enumerate(value), check, apart)
    return _reply(store(rows, refused, once))


def replay(body: bytes, part: str = "") -> Replay | None:
    """Return the caller's idempotency key with what it came with; None without one.

    Raises:
        InvalidRequest: not a valid one.
    """
    key = idempotency_key()
    # The same body on another route asks for something else.
    return None if key is None else Replay(key + part, f"{request.method} {request.path}\n".encode() + body)


def _stream(check: Check, store: Store, apart: Apart) -> Outcome:
    """Store a stream chunk by chunk; each chunk is a commit of its own, so memory stays flat."""
    total = Outcome(rejected=[])
    place = untold = 0
    for number, lines in enumerate(ndjson_lines()):
        numbered = [(place + n, line) for n, line in enumerate(lines) if line.strip()]
        rows, refused = _sort(numbered, check, partial(_unread, apart))
        found = store(rows, refused, replay(b"".join(lines), f"#{number}"))
        total.accepted += found.accepted
        total.duplicates += found.duplicates
        told = MAX_ROWS - len(total.rejected)
        total.rejected += found.rejected[:told]
        untold += len(found.rejected[told:])
        place += len(lines)
    if untold:  # a stream has no bound, its answer must have one
        total.rejected.append({"index": place, "code": "more", "message": f"and {untold} more were refused"})
    return total


def _unread(apart: Apart, part: bytes) -> list[Any]:
    return apart(_whole(part))


def _whole(line: bytes) -> Any:
    if len(line) > MAX_BODY:
        raise TooLarge(f"body: a line has more than {MAX_BODY} bytes")
    return read_json(line)


def _sort(numbered: Any, check: Check, apart: Apart) -> tuple[Rows, Rows]:
    """Return what is valid, and for the rest its place, the field and the reason."""
    rows: Rows = []
    refused: Rows = []

    def attempt(index: int, work: Callable[[], list[Any]]) -> list[Any]:
        try:
            return work()
        except RecsvcError as error:
            code = next(iter(error.fields), "body")
            refused.append({"index": index, "code": code, "message": error.message})
            return []

    for index, value in numbered:
        for part in attempt(index, partial(apart, value)):
            rows += attempt(index, partial(check, part))
    return rows, refused


def _reply(found: Outcome) -> Response:
    return Response(msgspec.json.encode(found), content_type="application/json")
