"""Times and the order of baskets, from any of the usual ways to write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from recsvc.artifact import Array
from recsvc.errors import InvalidRequest
from training.benchmark.ids import Ids
from training.benchmark.read import Column

_DAY = 86_400
# Whole numbers by their size: seconds since 1970 reach 1e11 in the year 5138; milliseconds, micro-, nanoseconds follow.
_UNITS = ((1e11, 1), (1e14, 10**3), (1e17, 10**6), (np.inf, 10**9))
_FEWEST_SECONDS = 1_000_000
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def seconds(column: Column) -> Array:
    """Return (rows,) int64 seconds since 1970, UTC, of dates, times (without a zone: UTC), ISO 8601 text, or numbers.

    Numbers are, by the largest of them: days (below a million), days written as 20261121, or seconds, milliseconds,
    microseconds or nanoseconds since 1970.

    Raises:
        InvalidRequest: none of these; names the file, the column and a value.
    """
    values = column.values
    kind = values.type
    if pa.types.is_timestamp(kind):
        return np.asarray(values.cast(pa.int64()).to_numpy() // _PER_SECOND[kind.unit])
    if pa.types.is_date(kind):
        return np.asarray(values.to_numpy().astype("datetime64[s]").astype(np.int64))
    if pa.types.is_integer(kind):
        return _of_numbers(values.cast(pa.int64()).to_numpy())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _of_numbers(values.cast(pa.float64(), safe=False).to_numpy())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _of_text(values, column.where)
    raise InvalidRequest(f"{column.where}: is {kind}, must be dates, times, text or numbers")


def _of_numbers(numbers: Array) -> Array:
    days = _written_as_days(numbers)
    if days is not None:
        return days
    largest = float(np.abs(numbers).max())
    if largest < _FEWEST_SECONDS:
        return np.asarray(np.floor(numbers * _DAY), np.int64)
    # Whole numbers are divided as such: nanoseconds do not fit a float.
    return np.asarray(numbers // next(unit for limit, unit in _UNITS if largest < limit), np.int64)


def _written_as_days(numbers: Array) -> Array | None:
    """Return the seconds of numbers that all read as a day, 20261121; as seconds they would lie in August 1970."""
    if numbers.min() < 19000101 or numbers.max() > 21001231 or (numbers % 1).any():
        return None
    distinct, inverse = np.unique(numbers.astype(np.int64), return_inverse=True)
    try:
        days = np.array([f"{one // 10000}-{one // 100 % 100:02}-{one % 100:02}" for one in distinct], "datetime64[s]")
    except ValueError:
        return None
    return np.asarray(days.astype(np.int64)[inverse])


def _of_text(values: Any, where: str) -> Array:
    encoded = values.dictionary_encode().combine_chunks()
    distinct = encoded.dictionary
    found = _parsed(distinct, where)
    return np.asarray(found[encoded.indices.to_numpy()])


def _parsed(distinct: Any, where: str) -> Array:
    for kind in (pa.int64(), pa.float64()):
        try:
            return _of_numbers(distinct.cast(kind).to_numpy(zero_copy_only=False))
        except pa.ArrowInvalid:
            continue
    try:
        parsed = distinct.cast(pa.timestamp("us"))
        return np.asarray(parsed.to_numpy(zero_copy_only=False).astype("datetime64[s]").astype(np.int64))
    except pa.ArrowInvalid:
        # Arrow refuses a zone here, and a mixture; Python's reader takes both.
        return np.array([_one(text, where) for text in distinct.to_pylist()], np.int64)


def _one(text: str, where: str) -> int:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidRequest(f"{where}: {text[:40]!r} is not a time as in 2026-11-21 or 2026-11-21T13:00:00Z") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() // 1)


def places(ids: Ids) -> Array:
    """Return (values,) int64: the place of each distinct basket value in their order; numbers by size, also in text
    (equal numbers by text), everything else as it sorts."""
    values = ids.values
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        try:
            numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            return np.arange(len(values), dtype=np.int64)
        order = np.lexsort((np.arange(len(values)), _exact(values, numbers)))
        found = np.empty(len(values), np.int64)
        found[order] = np.arange(len(values))
        return found
    return np.arange(len(values), dtype=np.int64)


def _exact(values: Any, numbers: Array) -> Array:
    """Return the numbers as int64 where all are whole: beyond 2^53 a float no longer tells neighbours apart."""
    try:
        return np.asarray(values.cast(pa.int64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        return numbers
