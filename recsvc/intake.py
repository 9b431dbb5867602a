"""The one strict parser: ids, times, numbers and JSON. The API and the file import both read through it.

`moment` and `integer` are what the API takes; `local_moment`, `number` and `boolean` what shops write into files.

Strict because each of these was seen to pass elsewhere: NaN, 100,000 nested brackets, duplicate keys of
which the last one wins, a lone surrogate that breaks the store, `true` for 1, `int("１２３")` for 123.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from recsvc.errors import InvalidRequest

ID_BYTES: Final = 256
MAX_DEPTH: Final = 32
# Nobody sold anything online before this, and a shop's clock may be this far ahead of ours.
EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
AHEAD: Final = timedelta(minutes=10)
MAX_INT: Final = 2**53 - 1  # the largest integer every JSON reader keeps exactly

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
# Everything but brackets and what tells whether they stand in a string.
_PLAIN_BYTES = bytes(set(range(256)) - set(b'[]{}"\\'))
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]*))?", re.ASCII)
_SIGNS = "€$£ \u00a0\u202f"
_DATE = re.compile(
    r"(\d{1,4})([-./])(\d{1,2})\2(\d{1,4})"
    r"(?:[Tt ]\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?:\s*([AaPp])\.?[Mm]\.?)?)?"
    r"\s*([Zz]|UTC|[+-]\d{2}:?\d{2})?", re.ASCII,
)  # fmt: skip
_EPOCH = re.compile(r"\d{9,10}(\.\d{1,9})?", re.ASCII)
_EPOCH_MS = re.compile(r"\d{12,13}", re.ASCII)
_PLACES: Final = {"ymd": (0, 1, 2), "dmy": (2, 1, 0), "mdy": (2, 0, 1)}
DATE_ORDERS: Final = tuple(_PLACES)
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
    if _CONTROL.search(value):
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


def local_moment(
    text: str, order: str, zone: ZoneInfo | None, now: datetime, latest: datetime | None = None
) -> datetime:
    """Return the moment that a file's text says: `2010-12-01T08:26:00Z`, `12/1/2010 8:26`, `01.12.2010`, epoch seconds
    or milliseconds.

    Args:
        order: how the three numbers of a date stand when the year is not first: mdy or dmy; ymd when it must be.
        zone: of a time that does not say its own. Of the hour that stands twice in autumn, the first.
        latest: up to then, instead of ten minutes after `now`.

    Raises:
        ValueError: as `moment`, or a time that has no zone while none was given.
    """
    if _EPOCH.fullmatch(text) or _EPOCH_MS.fullmatch(text):
        at = datetime.fromtimestamp(float(text) / (1000 if _EPOCH_MS.fullmatch(text) else 1), UTC)
    else:
        at = _calendar(text, order, zone)
    return moment(at, latest - AHEAD if latest else now)


def number(text: str, decimal: str = ".", thousands: str = "") -> Decimal:
    """Return the number that ASCII digits spell, with this decimal mark and, when one is given, marks of thousands.

    A currency sign or a space beside it is no part of it; `(1.50)` and an exponent are refused.

    Raises:
        ValueError: naming the value.
    """
    plain = text.strip(_SIGNS)
    if thousands and thousands in plain:
        whole = plain.split(decimal)[0].lstrip("+-").replace("\u00a0", " ").replace("\u202f", " ")
        if not re.fullmatch(rf"[0-9]{{1,3}}({re.escape(thousands)}[0-9]{{3}})+", whole):
            raise ValueError(f"{shorten(text)} is not a number with {thousands!r} between thousands")
        plain = plain.replace(thousands, "")
    if decimal != ".":
        if "." in plain:
            raise ValueError(f"{shorten(text)} is not a number with {decimal!r} as decimal mark")
        plain = plain.replace(decimal, ".")
    if not _NUMBER.fullmatch(plain) or len(plain) > 30:
        raise ValueError(f"{shorten(text)} is not a number")
    return Decimal(plain)


def boolean(text: str) -> bool:
    """Return the truth of true, false, yes, no, 1, 0 in any case.

    Raises:
        ValueError: naming the value.
    """
    found = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(text.lower())
    if found is None:
        raise ValueError(f"{shorten(text)}, must be true or false")
    return found


def read_json(body: bytes) -> Any:
    """Return what `body` holds, as strict JSON.

    Raises:
        InvalidRequest: not UTF-8, not JSON, NaN or Infinity, a duplicate key (named), a number that is not
            finite, a lone surrogate, or nested deeper than 32.
    """
    if not _shallow(body) and _depth(body) > MAX_DEPTH:
        raise InvalidRequest(f"body: nested deeper than {MAX_DEPTH}")
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_refuse_constant, parse_float=_finite
        )
        # A lone surrogate parses, but no store or reply can hold it. Only an escape can spell one.
        if b"\\u" in body:
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


def _calendar(text: str, order: str, zone: ZoneInfo | None) -> datetime:
    found = _DATE.fullmatch(text)
    if not found:
        raise ValueError(f"{shorten(text)} is not a date and time")
    parts = found.group(1), found.group(3), found.group(4)
    year, month, day = (parts[place] for place in _PLACES["ymd" if len(parts[0]) == 4 else order])
    if len(year) not in {2, 4} or len(month) > 2 or len(day) > 2:
        raise ValueError(f"{shorten(text)} is not a date in the order {order}")
    hour, half = int(found.group(5) or 0), (found.group(9) or "").lower()
    if half:
        if not 1 <= hour <= 12:
            raise ValueError(f"{shorten(text)} is not a time of the clock")
        hour = hour % 12 + (12 if half == "p" else 0)
    micro = int((found.group(8) or "0").ljust(6, "0")[:6])
    years = int(year) + (2000 if len(year) == 2 else 0)
    try:
        at = datetime(years, int(month), int(day), hour, int(found.group(6) or 0), int(found.group(7) or 0), micro)
        return at.replace(tzinfo=_zone(found.group(10), zone)).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{shorten(text)} is out of range") from None
    except ValueError as error:
        raise ValueError(f"{shorten(text)}: {error}") from None


def _zone(offset: str | None, zone: ZoneInfo | None) -> tzinfo:
    if offset is None:
        if zone is None:
            raise ValueError("has no time zone: give one with --time-zone or `time_zone` in the map")
        return zone
    if offset in {"Z", "z", "UTC"}:
        return UTC
    minutes = int(offset[1:3]) * 60 + int(offset[-2:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def _shallow(body: bytes) -> bool:
    """Whether the brackets are surely in pairs and nested no deeper than 32; False: count them.

    Takes a pair away wherever two brackets meet, a level at a time: a tenth of the time of `_depth` on a batch.
    """
    marks = body.translate(None, _PLAIN_BYTES)
    if b"\\" in marks:
        return False
    brackets = b"".join(marks.split(b'"')[::2])
    for _ in range(MAX_DEPTH):
        if not brackets:
            return True
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    return not brackets


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
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        key = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest(f"{shorten(key)}: the key stands twice in one object", {key: "stands twice"})
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
