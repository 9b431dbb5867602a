"""Questions in bulk: an object, an array or lines, each read when its answer is due; one bad line spoils no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from flask import request

from recsvc.errors import InvalidRequest, RecsvcError, TooLarge
from recsvc.intake import identifier
from recsvc.strict_json import elements, read_json
from recsvc.web.bulk import MAX_ROWS, NDJSON
from recsvc.web.contract import MAX_BODY, body_bytes, ndjson_lines

T = TypeVar("T")
Read = Callable[[Any], T]


def lines_of(read: Read[T]) -> Iterator[T | RecsvcError]:
    """Return what `read` makes of each line of the body, or why it could not."""
    if request.mimetype == NDJSON:
        return (_read(read, _parsed, line) for lines in ndjson_lines() for line in lines if line.strip())
    return iter(_array(read, body_bytes()))


def customer_alone(value: Any) -> str | None:
    """Return the customer of a line that is their id alone; None where it is an object.

    Raises:
        InvalidRequest: it is neither.
    """
    if isinstance(value, dict):
        return None
    if not isinstance(value, str):
        raise InvalidRequest("body: must be a customer id or a JSON object")
    try:
        return identifier(value)
    except ValueError as error:
        raise InvalidRequest(f"customer_id: {error}", {"customer_id": str(error)}) from None


def _array(read: Read[T], data: bytes) -> list[T | RecsvcError]:
    try:
        value = read_json(data)
        parse = None
    except RecsvcError:
        value, parse = elements(data), _parsed  # one element that is no strict JSON spoils no other
        if value is None:
            raise
    if not isinstance(value, list):
        if not isinstance(value, dict):
            raise InvalidRequest("body: must be an object, an array, or lines")
        return [read(value)]
    if len(value) > MAX_ROWS:
        raise TooLarge(f"body: {len(value)} rows, at most {MAX_ROWS}; send lines as {NDJSON}")
    return [_read(read, parse, one) for one in value]


def until_broken(asked: Iterator[T | RecsvcError]) -> Iterator[T | RecsvcError]:
    """Yield the lines; where the stream itself breaks, that as the last."""
    try:
        yield from asked
    except RecsvcError as error:
        yield error


def _read(read: Read[T], parse: Any, value: Any) -> T | RecsvcError:
    try:
        line: T | RecsvcError = read(parse(value) if parse else value)
    except RecsvcError as error:
        return error
    return line


def _parsed(line: bytes) -> Any:
    if len(line) > MAX_BODY:
        raise TooLarge(f"body: a line has more than {MAX_BODY} bytes")
    return read_json(line)
