"""Import files: Parquet with recsvc's own column names, checked column by column and read in chunks.

The check says the same as `intake` says of one value, on whole columns at once. A file with a bad row is
refused before anything of its chunk is written; the message names the file, the row, the column and the value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsvc.concepts import CHANNELS, KIND_NAMES, OFFER_KINDS
from recsvc.errors import InvalidRequest
from recsvc.intake import AHEAD, EARLIEST, ID_BYTES, LATEST, MAX_INT, read_json, shorten

_ROWS = 50_000
_CONTROLS: Final = r"[\x{00}-\x{1f}\x{7f}-\x{9f}]"


@dataclass(frozen=True, slots=True)
class Column:
    """What a column must hold. type: id, text, integer, boolean, time, ids, texts or json.
    past: a time that cannot lie ahead."""

    type: str
    required: bool = False
    among: tuple[str, ...] = ()
    low: int = -MAX_INT
    high: int = MAX_INT
    default: Any = None
    past: bool = False


_MONEY = Column("integer", low=0)
_TIME, _TEXT, _JSON = Column("time"), Column("text"), Column("json", default={})

COLUMNS: Final[dict[str, dict[str, Column]]] = {
    "items": {
        "item_id": Column("id", required=True), "parent_id": Column("id"), "title": Column("text", required=True),
        "categories": Column("texts", default=[]), "brand": _TEXT, "price_cents": _MONEY, "currency": _TEXT,
        "stock": Column("integer", low=0), "active": Column("boolean", default=True),
        "sensitive": Column("boolean", default=False), "created_at": _TIME, "available_from": _TIME,
        "available_to": _TIME, "attributes": _JSON,
    },
    "customers": {"customer_id": Column("id", required=True), "segment": _TEXT, "attributes": _JSON},
    "interactions": {
        "interaction_id": Column("id", required=True), "customer_id": Column("id", required=True),
        "item_id": Column("id"), "kind": Column("text", required=True, among=KIND_NAMES),
        "occurred_at": Column("time", required=True, past=True),
        "quantity": Column("integer", low=0), "value_cents": _MONEY,
        "currency": _TEXT, "order_id": Column("id"), "channel": Column("text", among=CHANNELS),
        "stars": Column("integer", low=1, high=5), "reason": _TEXT, "offer_id": Column("id"),
    },
    "offers": {
        "offer_id": Column("id", required=True), "name": Column("text", required=True),
        "kind": Column("text", required=True, among=OFFER_KINDS), "benefit": _TEXT, "value_cents": _MONEY,
        "cost_cents": _MONEY, "currency": _TEXT, "starts_at": _TIME, "ends_at": _TIME,
        "active": Column("boolean", default=True), "items": Column("ids", default=[]), "attributes": _JSON,
    },
}  # fmt: skip


def count(path: Path) -> int:
    """Return how many rows a Parquet file has.

    Raises:
        InvalidRequest: not there, or not Parquet.
    """
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidRequest(f"{path}: cannot be read as Parquet: {error}") from None


def rows(noun: str, path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield chunks of checked rows; times as integer microseconds, missing columns with their defaults.

    Args:
        noun: a key of COLUMNS.

    Raises:
        InvalidRequest: an unknown or missing column, or a value that is not what the column must hold.
    """
    count(path)
    spec = COLUMNS[noun]
    file = pq.ParquetFile(path)
    names = file.schema_arrow.names
    unknown = [name for name in names if name not in spec]
    if unknown:
        raise InvalidRequest(f"{path}: unknown column {shorten(unknown[0])}; {noun} have {', '.join(spec)}")
    missing = [name for name, column in spec.items() if column.required and name not in names]
    if missing:
        raise InvalidRequest(f"{path}: the column {missing[0]} is missing")
    start = 0
    for batch in file.iter_batches(batch_size=_ROWS):
        columns = {}
        for name in names:
            values = _read(batch.column(name), spec[name], f"{path}: column {name}", start)
            columns[name] = _fill(values, spec[name])
        fixed = {name: column.default for name, column in spec.items() if name not in columns}
        yield [{**fixed, **dict(zip(columns, one, strict=True))} for one in zip(*columns.values(), strict=True)]
        start += batch.num_rows


def _fill(values: list[Any], column: Column) -> list[Any]:
    if column.default is None:
        return values
    return [column.default if value is None else value for value in values]


def _read(values: Any, column: Column, where: str, start: int) -> list[Any]:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if column.required and values.null_count:
        row = start + int(pc.index(pc.is_null(values), True).as_py()) + 1
        raise InvalidRequest(f"{where}: row {row}: is empty")
    return _READERS[column.type](values, column, where, start)  # type: ignore[no-any-return]


def _text(values: Any, column: Column, where: str, start: int) -> list[Any]:
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise InvalidRequest(f"{where}: holds {values.type}, must be text")
    _refuse(pc.match_substring_regex(values, "\\x{00}"), values, where, start, "must not hold NUL")
    if column.among:
        bad = pc.invert(pc.is_in(values, pa.array(column.among)))
        _refuse(pc.and_(bad, pc.is_valid(values)), values, where, start, f"must be one of {', '.join(column.among)}")
    return values.to_pylist()  # type: ignore[no-any-return]


def _ids(values: Any, column: Column, where: str, start: int) -> list[Any]:
    if pa.types.is_integer(values.type):
        values = values.cast(pa.string())  # whole numbers are the same text everywhere; 123.0 is not
    found = _text(values, column, where, start)
    size = pc.binary_length(values)
    bad = pc.or_(pc.less(size, 1), pc.greater(size, ID_BYTES))
    _refuse(bad, values, where, start, f"must be 1 to {ID_BYTES} bytes")
    _refuse(pc.match_substring_regex(values, _CONTROLS), values, where, start, "must not hold control characters")
    _refuse(pc.is_in(values, pa.array([".", ".."])), values, where, start, "must not be '.' or '..'")
    return found


def _integer(values: Any, column: Column, where: str, start: int) -> list[Any]:
    if not pa.types.is_integer(values.type):
        raise InvalidRequest(f"{where}: holds {values.type}, must be whole numbers")
    bad = pc.or_(pc.less(values, column.low), pc.greater(values, column.high))
    _refuse(bad, values, where, start, f"must be {column.low} to {column.high}")
    return values.to_pylist()  # type: ignore[no-any-return]


def _boolean(values: Any, _column: Column, where: str, _start: int) -> list[Any]:
    if not pa.types.is_boolean(values.type):
        raise InvalidRequest(f"{where}: holds {values.type}, must be true or false")
    return values.to_pylist()  # type: ignore[no-any-return]


def _time(values: Any, column: Column, where: str, start: int) -> list[Any]:
    if not pa.types.is_timestamp(values.type) or values.type.tz is None:
        raise InvalidRequest(f"{where}: holds {values.type}, must be timestamps with a time zone")
    micro = values.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64())
    latest = datetime.now(UTC) + AHEAD if column.past else LATEST
    bad = pc.or_(pc.less(micro, _micro(EARLIEST)), pc.greater(micro, _micro(latest)))
    _refuse(bad, values, where, start, f"must be from {EARLIEST.date()} to {latest.isoformat(timespec='minutes')}")
    return micro.to_pylist()  # type: ignore[no-any-return]


def _lists(values: Any, column: Column, where: str, start: int) -> list[Any]:
    if not (pa.types.is_list(values.type) or pa.types.is_large_list(values.type)):
        raise InvalidRequest(f"{where}: holds {values.type}, must be lists of text")
    inner = _ids if column.type == "ids" else _text
    flat = values.flatten()
    if flat.null_count:
        raise InvalidRequest(f"{where}: a list holds an empty value")
    inner(flat, Column("text"), f"{where} (counting list entries)", start)
    return values.to_pylist()  # type: ignore[no-any-return]


def _json(values: Any, column: Column, where: str, start: int) -> list[Any]:
    found = []
    for row, text in enumerate(_text(values, column, where, start), start + 1):
        try:
            value = None if text is None else read_json(text.encode("utf-8"))
        except InvalidRequest as error:
            raise InvalidRequest(f"{where}: row {row}: {shorten(text)} is not JSON: {error.message}") from None
        if not isinstance(value, (dict, type(None))):
            raise InvalidRequest(f"{where}: row {row}: {shorten(text)} must be a JSON object")
        found.append(value)
    return found


_READERS: Final[dict[str, Any]] = {
    "id": _ids, "text": _text, "integer": _integer, "boolean": _boolean, "time": _time,
    "ids": _lists, "texts": _lists, "json": _json,
}  # fmt: skip


def _micro(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def _refuse(bad: Any, values: Any, where: str, start: int, wanted: str) -> None:
    """Raise for the first row at which `bad` is true; nulls are not bad here."""
    place = pc.index(bad, True).as_py()
    if place >= 0:
        raise InvalidRequest(f"{where}: row {start + place + 1}: {shorten(str(values[place].as_py()))}, {wanted}")
