"""Every route, declared once: path, parameters, body, reply and the scope a key needs. OpenAPI is made from it.

Why not apiflask: its reader takes the query as a plain dictionary (a repeated parameter silently loses all but
one) and the body by `get_json` (NaN, duplicate keys and 100,000 brackets pass or break). Both would have to be
replaced, and what remains is the document, which pydantic's schemas make in one page (`openapi.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any, Final, TypeVar, get_origin
from urllib.parse import unquote_to_bytes

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException

from recsvc.errors import InvalidRequest, TooLarge, Unsupported
from recsvc.intake import identifier, shorten
from recsvc.strict_json import read_json

MAX_BODY = 2**20
# What stands in a path and is no id: it may be longer, and its view says what is wrong with it.
TOKENS: Final = frozenset({"token"})
_CHUNK = 500

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the API. `path` is as OpenAPI writes it; `query`, `body` and `reply` are pydantic models.
    scope: what a key must have, None where no key is needed. content: the reply's media type without a model.
    form: the body is a form of a page, which the view reads itself.
    many: the body may also be an array, or lines. patch: the body may hold any of the fields.
    writes: whether a body is stored; else it is a question."""

    method: str
    path: str
    summary: str
    view: Callable[..., Any]
    scope: str | None = field(kw_only=True)
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    reply: type[BaseModel] | None = None
    content: str = "application/json"
    many: bool = False
    writes: bool = True
    form: type[BaseModel] | None = None
    patch: bool = False


def read_query(model: type[M]) -> M:
    """Return the query string as `model`.

    Raises:
        InvalidRequest: an unknown, repeated or wrong parameter; each is named.
    """
    given: dict[str, Any] = {}
    try:
        unquote_to_bytes(request.query_string).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest("query: not UTF-8", {"query": "not UTF-8"}) from None
    for name, values in request.args.lists():
        field = model.model_fields.get(name)
        if field is not None and get_origin(field.annotation) is tuple:
            given[name] = tuple(values)
        elif len(values) > 1:
            raise InvalidRequest(f"{shorten(name)}: is given twice", {name[:64]: "is given twice"})
        else:
            given[name] = values[0]
    return validated(model, given)


def read_body(model: type[M]) -> M:
    """Return the JSON body as `model`.

    Raises:
        Unsupported, TooLarge, InvalidRequest: names the field.
    """
    return read_body_and_bytes(model)[0]


def read_body_and_bytes(model: type[M]) -> tuple[M, bytes]:
    """Return the JSON body as `model`, and as it was sent. Raises as `read_body`."""
    data = body_bytes()
    value = read_json(data)
    if not isinstance(value, dict):
        raise InvalidRequest("body: must be a JSON object")
    return validated(model, value), data


def body_bytes() -> bytes:
    """Return the bytes of a JSON body.

    Raises:
        Unsupported: another media type, or compressed. TooLarge: over 1 MiB.
    """
    if request.mimetype != "application/json":
        raise Unsupported(f"Content-Type: {request.mimetype or 'missing'}, must be application/json")
    _uncompressed()
    if (request.content_length or 0) > MAX_BODY:
        raise TooLarge(f"body: {request.content_length} bytes, at most {MAX_BODY}")
    data = _read(lambda: request.stream.read(MAX_BODY + 1))
    if len(data) > MAX_BODY:
        raise TooLarge(f"body: more than {MAX_BODY} bytes")
    return data


def ndjson_lines() -> Iterator[list[bytes]]:
    """Return the lines of an NDJSON body in chunks of 500, however long the body is.

    They are read when they are asked for, which may be after the request's own context has ended. A line over 1 MiB is
    cut after one byte more: who reads it sees by its length that it is not whole.

    Raises:
        Unsupported: the body is compressed.
    """
    _uncompressed()
    return _chunks(request.stream)


def _chunks(stream: IO[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    while line := _read(lambda: stream.readline(MAX_BODY + 1)):
        chunk.append(line)
        while len(line) > MAX_BODY and not line.endswith(b"\n"):
            line = _read(lambda: stream.readline(MAX_BODY + 1))
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _uncompressed() -> None:
    given = request.headers.get("Content-Encoding", "identity")
    if given.strip().lower() not in {"", "identity"}:
        raise Unsupported(f"Content-Encoding: {shorten(given)}, must be left out: send the body uncompressed")


def _read(read: Callable[[], bytes]) -> bytes:
    """Return what `read` reads. The server raises errors of its own where the caller's chunks are malformed."""
    try:
        return read()
    except HTTPException:
        raise
    except Exception as error:
        raise InvalidRequest(f"body: could not be read: {type(error).__name__}") from error


def idempotency_key() -> str | None:
    """Return the caller's idempotency key, or None.

    Raises:
        InvalidRequest: not a valid one.
    """
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return None
    try:
        return identifier(given)
    except ValueError as error:
        raise InvalidRequest(f"Idempotency-Key: {error}", {"Idempotency-Key": str(error)}) from None


def validated(model: type[M], value: dict[str, Any]) -> M:
    """Return `value` as `model`.

    Raises:
        InvalidRequest: names each field that is wrong.
    """
    try:
        return model.model_validate(value, context={"now": datetime.now(UTC)})
    except ValidationError as error:
        fields = {_place(one["loc"]): _explain(one) for one in error.errors()}
        raise InvalidRequest("; ".join(f"{name}: {why}" for name, why in fields.items()), fields) from None


def _place(location: tuple[int | str, ...]) -> str:
    """Return the path of a field, whatever odd name the caller gave it."""
    text = ".".join(str(part) for part in location) or "body"
    return text.encode("utf-8", errors="replace").decode("utf-8")[:100]


def _explain(error: Any) -> str:
    """Return what was given and what was wanted, in the words of the API."""
    kind, given = error["type"], error["input"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is not a known field"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    shown = shorten(given if isinstance(given, str) else repr(given))
    wanted = str(error["msg"])
    return f"{shown}, {wanted[:1].lower()}{wanted[1:]}"
