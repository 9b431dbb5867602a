"""The one strict parser: ids, times and numbers, for the API and the file import alike.

`moment` and `integer` are what the API takes; `local_moment`, `number` and `boolean` what shops write into files.

Strict because each of these was seen to pass elsewhere: `true` for 1, `int("１２３")` for 123, an id with NUL.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

ID_BYTES: Final = 256
# Nobody sold anything online before this, and a shop's clock may be this far ahead of ours.
EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
AHEAD: Final = timedelta(minutes=10)
MAX_INT: Final = 2**53 - 1  # the largest integer every JSON reader keeps exactly

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]*))?", re.ASCII)
_SIGNS = "€$£ \u00a0\u202f"
_DATE = re.compile(
    r"(\d{1,4})([-./])(\d{1,2})\2(\d{1,4})"
    r"(?:[Tt ]\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?:\s*([AaPp])\.?[Mm]\.?)?)?"
    r"\s*([Zz]|UTC|[+-]\d{2}:?\d{2})?", re.ASCII,
)  # fmt: skip
_MONTHS: Final = {
    name: number for number, full in enumerate((
        "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
        "december"), 1) for name in (full, full[:3])
}  # fmt: skip
# 1-Jun-2026, 1 June 2026, June 1, 2026 or Mon, 01 Jun 2026, and perhaps a time behind it.
_NAMED = re.compile(
    r"(?:[A-Za-z]{3},? )?(?:(\d{1,2})[ -]([A-Za-z]{3,9})|([A-Za-z]{3,9}) (\d{1,2})),?[ -](\d{4}),?(.*)", re.ASCII
)
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
    if plain[:1] in {"-", "+"}:
        plain = plain[0] + plain[1:].lstrip(_SIGNS)  # -$4.50
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
    found = _DATE.fullmatch(numbered(text))
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


def numbered(text: str) -> str:
    """Return a date whose month is an English name, as 1-Jun-2026, with its number and the year first; else `text`."""
    found = _NAMED.fullmatch(text)
    month = _MONTHS.get((found[2] or found[3]).lower()) if found else None
    return f"{found[5]}-{month}-{found[1] or found[4]}{found[6]}" if found and month else text


def _zone(offset: str | None, zone: ZoneInfo | None) -> tzinfo:
    if offset is None:
        if zone is None:
            raise ValueError("has no time zone: give one with --time-zone or `time_zone` in the map")
        return zone
    if offset in {"Z", "z", "UTC"}:
        return UTC
    minutes = int(offset[1:3]) * 60 + int(offset[-2:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def _json_type(value: object) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", list: "an array", dict: "an object"}
    return names.get(type(value), "null" if value is None else type(value).__name__)
