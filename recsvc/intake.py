"""The one strict parser: ids, times, numbers and JSON. The API and the file import both read through it.

Strict because each of these was seen to pass elsewhere: NaN, 100,000 nested brackets, duplicate keys of
which the last one wins, a lone surrogate that breaks the store, `true` for 1, `int("１２３")` for 123.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from recsvc.errors import InvalidRequest

ID_BYTES: Final = 256
MAX_DEPTH: Final = 32
# Nobody sold anything online before this, and a shop's clock may be this far ahead of ours.
EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
AHEAD: Final = timedelta(minutes=10)
MAX_INT: Final = 2**53 - 1  # the largest integer every JSON reader keeps exactly

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def identifier(value: object) -> str:
    """Return `value` when it is a valid id: 1 to 256 bytes of UTF-8, no controls, not `.` or `..`.

    Distinct strings stay distinct: nothing is trimmed or folded.

    Raises:
        ValueError: what was wrong, in words for the caller.
    """
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {_json_type(value)}")
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode, has a lone surrogate") from None
    if not 1 <= size <= ID_BYTES:
        raise ValueError(f"must be 1 to {ID_BYTES} bytes of UTF-8, has {size}")
    if any(ch < " " or "\x7f" <= ch <= "\x9f" for ch in value):
        raise ValueError("must not hold NUL or control characters")
    if value in {".", ".."}:
        raise ValueError("must not be '.' or '..'")
    return value


def integer(text: str, low: int, high: int) -> int:
    """Return the integer that ASCII digits spell, between `low` and `high` inclusive.

    Raises:
        ValueError: naming the value and the range.
    """
    if not _INTEGER.fullmatch(text) or not low <= int(text) <= high:
        raise ValueError(f"{shorten(text)}, must be a whole number from {low} to {high}")
    return int(text)


def moment(value: object, now: datetime) -> datetime:
    """Return an aware UTC datetime from RFC 3339 text or epoch seconds.

    Raises:
        ValueError: unreadable, without a time zone, before 1990, or more than ten minutes after `now`.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("must have a time zone")
        at = value.astimezone(UTC)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if not 0 <= value < 253402300800:  # also false for NaN
            raise ValueError("must be RFC 3339 or epoch seconds")
        at = datetime.fromtimestamp(value, UTC)
    elif isinstance(value, str) and _TIME.fullmatch(value):
        try:
            at = datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValueError(f"{shorten(value)} is not a moment of the calendar") from None
    else:
        raise ValueError("must be RFC 3339 with a time zone, as 2026-11-21T10:00:00Z, or epoch seconds")
    if at < EARLIEST:
        raise ValueError(f"{at.isoformat()} is before {EARLIEST.date()}")
    if at > now + AHEAD:
        raise ValueError(f"{at.isoformat()} is more than {AHEAD.seconds // 60} minutes ahead of the server")
    return at


def read_json(body: bytes) -> Any:
    """Return what `body` holds, as strict JSON.

    Raises:
        InvalidRequest: not UTF-8, not JSON, NaN or Infinity, a duplicate key (named), a number that is not
            finite, a lone surrogate, or nested deeper than 32.
    """
    if _depth(body) > MAX_DEPTH:
        raise InvalidRequest(f"body: nested deeper than {MAX_DEPTH}")
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_refuse_constant, parse_float=_finite
        )
        # A lone surrogate parses, but no store or reply can hold it.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except InvalidRequest:
        raise
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"body: not UTF-8 at byte {error.start}") from None
    except UnicodeEncodeError:
        raise InvalidRequest("body: holds a lone surrogate, which is not Unicode text") from None
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"body: not JSON, {error.msg.lower()} at character {error.pos}") from None
    except ValueError as error:
        raise InvalidRequest(f"body: not JSON, {error}") from None
    return value


def digest(interaction_id: str) -> bytes:
    """Return the 16 bytes under which an interaction is stored; equal ids give equal bytes."""
    return hashlib.blake2b(interaction_id.encode("utf-8"), digest_size=16).digest()


def derived_id(fields: dict[str, Any], ordinal: int) -> str:
    """Return the id of an interaction that came without one: from all its fields and its ordinal.

    The ordinal counts equal lines within one order, so that two equal lines stay two.
    """
    text = json.dumps([fields, ordinal], sort_keys=True, ensure_ascii=False, default=str)
    return "derived-" + hashlib.blake2b(text.encode("utf-8"), digest_size=16).hexdigest()


def shorten(text: str, most: int = 40) -> str:
    """Return `text` for an error message: quoted, and no longer than `most` characters."""
    return repr(text if len(text) <= most else text[:most] + "…")


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for token in _TOKENS.findall(body):
        if token in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token in b"]}":
            depth -= 1
    return deepest


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise InvalidRequest(f"{shorten(key)}: the key stands twice in one object", {key: "stands twice"})
        found[key] = value
    return found


def _refuse_constant(name: str) -> float:
    raise InvalidRequest(f"body: {name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InvalidRequest(f"body: {shorten(text)} is out of range")
    return number


def _json_type(value: object) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", list: "an array", dict: "an object"}
    return names.get(type(value), "null" if value is None else type(value).__name__)
