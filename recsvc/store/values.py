"""Whole columns of raw values to what recsvc's columns hold.

The same as `intake` says of one value: text is parsed by `intake` itself, once for each distinct value; typed
columns are filtered by Arrow, and `intake` judges what the filter finds and gives the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsvc import intake
from recsvc.errors import InvalidRequest
from recsvc.intake import EARLIEST, ID_BYTES, MAX_INT, shorten
from recsvc.store.files import Piece
from recsvc.store.maps import Map, Source
from recsvc.strict_json import read_json

_CONTROLS: Final = r"[\x{00}-\x{1f}\x{7f}-\x{9f}]"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Column:
    """What a column must hold. type: id, text, integer, boolean, time, ids, texts or json. past: no later than now."""

    type: str
    required: bool = False
    among: tuple[str, ...] = ()
    low: int = -MAX_INT
    high: int = MAX_INT
    default: Any = None
    past: bool = False


@dataclass(slots=True)
class Wrong:
    """What is wrong: row → (column, value, reason), the first that was found."""

    rows: dict[int, tuple[str, str | None, str]] = field(default_factory=dict)

    def note(self, row: int, column: str, value: Any, reason: str) -> None:
        """Note a row."""
        self.rows.setdefault(row, (column, None if value is None else str(value)[:200], reason))


@dataclass(frozen=True, slots=True)
class Sheet:
    """How a file is read for one noun: the map, where each column comes from, and the moment of reading."""

    noun: str
    map: Map
    sources: dict[str, Source]
    now: datetime

    @property
    def wanted(self) -> set[str]:
        """The columns of the file that are needed."""
        names = {name for one in self.sources.values() for name in (one.column, one.times, one.clock) if name}
        sold = self.map.interactions.get("quantity") if self.noun == "items" and self.map.returns else None
        filled = {self.map.fill.by, *self.map.fill.columns} if self.map.fill else set()
        return names | filled | set(self.map.skip) | ({sold.column} if sold and sold.column else set())


def read(values: Any, name: str, column: Column, source: Source, form: Sheet, wrong: Wrong, piece: Piece) -> Any:
    """Return an Arrow array of what the column must hold; null where the raw value is empty, or wrong and noted."""
    if source.empty:
        values = distinct(
            as_text(values), name, lambda text: None if text in source.empty else text, pa.string(), wrong
        )
    if source.names:
        values = distinct(values, name, lambda text: source.names.get(text, text), pa.string(), wrong)
    if column.type == "id":
        return _ids(values, name, source, wrong, piece)
    if column.type == "integer":
        if source.times:
            return _product(values, raw(piece, source.times, form, wrong, name), name, source, form, wrong)
        return _integers(values, name, column, source, form, wrong)
    if column.type == "time":
        return _times(values, name, column, form, wrong)
    if column.type in {"ids", "texts"}:
        return _lists(values, name, column, source, wrong)
    if column.type == "boolean":
        return values if pa.types.is_boolean(values.type) else distinct(
            as_text(values), name, intake.boolean, pa.bool_(), wrong)  # fmt: skip
    values = as_text(values)
    if column.type == "json":
        return distinct(values, name, _json, pa.string(), wrong)
    return _texts(values, name, column, wrong)


def raw(piece: Piece, name: str, form: Sheet, wrong: Wrong, column: str = "") -> Any:
    """Return a raw column, bytes decoded, empty text and the map's words for nothing as null."""
    values = piece.columns.get(name)
    if values is None:
        return pa.nulls(len(piece.numbers), pa.string())
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        values = _decoded(values, column, wrong)
    if pa.types.is_large_string(values.type):
        values = values.cast(pa.string())
    if pa.types.is_string(values.type):
        empty = pc.is_in(values, pa.array(["", *form.map.file.empty]))
        values = pc.if_else(empty, pa.scalar(None, pa.string()), values)
    return values


def _decoded(values: Any, column: str, wrong: Wrong) -> Any:
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        found: list[str | None] = []
        for row, raw in enumerate(values.to_pylist()):
            try:
                found.append(None if raw is None else raw.decode("utf-8"))
            except UnicodeDecodeError:
                wrong.note(row, column, repr(raw), "is not UTF-8; the map may give another `encoding`")
                found.append(None)
        return pa.array(found, pa.string())


def as_text(values: Any) -> Any:
    """Return the values as text."""
    return values if pa.types.is_string(values.type) else values.cast(pa.string())


def distinct(values: Any, name: str, parse: Callable[[str], Any], kind: Any, wrong: Wrong) -> Any:
    """Return `parse` of each value, called once for each distinct one; where it raises, null and a note."""
    encoded = values.dictionary_encode()
    found, reasons = [], {}
    for code, text in enumerate(encoded.dictionary.to_pylist()):
        try:
            found.append(parse(text))
        except (ValueError, InvalidRequest) as error:
            found.append(None)
            reasons[code] = (text, str(error))
    if reasons:
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(np.isin(codes, list(reasons))).tolist():
            wrong.note(row, name, *reasons[int(codes[row])])
    return pa.array(found, kind).take(encoded.indices)


def _filtered(values: Any, bad: Any, name: str, judge: Callable[[Any], object], wrong: Wrong) -> Any:
    """Return the values without those that `judge` refuses, which is asked only where `bad`."""
    rows = np.flatnonzero(pc.fill_null(bad, False).to_numpy(zero_copy_only=False)).tolist()
    refused = np.zeros(len(values), bool)
    for row in rows:
        try:
            judge(values[row].as_py())
        except ValueError as error:
            wrong.note(row, name, values[row].as_py(), str(error))
            refused[row] = True
    return pc.if_else(pa.array(refused), pa.scalar(None, values.type), values) if refused.any() else values


def _ids(values: Any, name: str, source: Source, wrong: Wrong, piece: Piece) -> Any:
    kind, whole = values.type, source.whole == "text"
    if pa.types.is_decimal(kind) and kind.scale == 0:  # whole numbers, as warehouses write them
        values = values.cast(pa.string())
        kind = values.type
    if pa.types.is_floating(kind) and not whole:
        raise InvalidRequest(
            f"column {source.column}: holds {kind}, must be text: 123.0 and 123 are two ids."
            f" `whole: text` in the map takes whole numbers as 123"
        )
    if not (pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise InvalidRequest(f"column {source.column}: holds {kind}, must be text")
    no_ids = piece.no_ids.get(source.column or "")
    if pa.types.is_floating(kind):
        values = pa.array([None if one is None else repr(one) for one in values.to_pylist()], pa.string())
    values = as_text(values)
    if whole:
        values = distinct(values, name, _whole, pa.string(), wrong)
    if no_ids is not None and no_ids.any():
        values = _filtered(values, pa.array(no_ids), name, partial(_no_id, whole), wrong)
    length = pc.binary_length(values)
    bad = pc.or_(pc.less(length, 1), pc.greater(length, ID_BYTES))
    bad = pc.or_(bad, pc.match_substring_regex(values, _CONTROLS))
    bad = pc.or_(bad, pc.is_in(values, pa.array([".", ".."])))
    return _filtered(values, bad, name, intake.identifier, wrong)


def _whole(text: str) -> str:
    return text.rstrip("0").removesuffix(".") if re.fullmatch(r"[0-9]+\.0+", text, re.ASCII) else text


def _no_id(whole: bool, text: str) -> None:
    if text[0] in "{[":
        raise ValueError("is an object or a list: ids are text (the map may name a field within, as customer.id)")
    if text in {"true", "false"}:
        raise ValueError(f"is {text}: ids are text")
    if not whole:
        raise ValueError("is a number with a decimal point: ids are text (`whole: text` in the map takes 123.0 as 123)")


def _texts(values: Any, name: str, column: Column, wrong: Wrong) -> Any:
    def judge(text: str) -> None:
        if "\x00" in text:
            raise ValueError("must not hold NUL")
        if column.among and text not in column.among:
            raise ValueError(f"must be one of {', '.join(column.among)}")

    bad = pc.match_substring_regex(values, "\\x{00}")
    if column.among:
        bad = pc.or_(bad, pc.invert(pc.is_in(values, pa.array(column.among))))
    return _filtered(values, bad, name, judge, wrong)


def _integers(values: Any, name: str, column: Column, source: Source, form: Sheet, wrong: Wrong) -> Any:
    scale = 100 if source.unit == "major" else 1
    low = -MAX_INT if form.map.returns and form.noun == "interactions" and column.low == 0 else column.low

    def judge(value: int) -> int:
        if not low <= value <= column.high:
            raise ValueError(f"must be {low} to {column.high}")
        return value

    if pa.types.is_integer(values.type) and scale == 1:
        bad = pc.or_(pc.less(values, low), pc.greater(values, column.high))
        return _filtered(values, bad, name, judge, wrong).cast(pa.int64())

    def parse(text: str) -> int:
        found = _number(text, values, form) * scale
        if scale == 1 and found != int(found):
            raise ValueError(f"{shorten(text)} is not a whole number")
        return judge(int(found.to_integral_value(ROUND_HALF_UP)))

    return distinct(as_text(values), name, parse, pa.int64(), wrong)


def _number(text: str, values: Any, form: Sheet) -> Any:
    file = form.map.file
    typed = not pa.types.is_string(values.type)  # a number that Arrow wrote has a point and nothing between thousands
    return intake.number(text, "." if typed else file.decimal, "" if typed else file.thousands)


def _product(values: Any, times: Any, name: str, source: Source, form: Sheet, wrong: Wrong) -> Any:
    """Return price × quantity in minor units, halves up; prices to a ten-thousandth."""
    scale = 100 if source.unit == "major" else 1

    def parse(of: Any) -> Callable[[str], float]:
        return lambda text: float(_number(text, of, form))

    price = distinct(as_text(values), name, parse(values), pa.float64(), wrong)
    count = distinct(as_text(times), name, parse(times), pa.float64(), wrong)
    fine = np.rint(pc.fill_null(price, 0.0).to_numpy(zero_copy_only=False) * scale * 100)
    product = fine * pc.fill_null(count, 0.0).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(np.abs(product) > MAX_INT).tolist():
        wrong.note(row, name, values[row].as_py(), "is out of range")
    rounded = np.sign(product) * np.floor((np.abs(product) + 50) / 100)
    known = pc.and_(pc.is_valid(price), pc.is_valid(count))
    whole = np.where(np.abs(product) > MAX_INT, 0, rounded).astype(np.int64)
    return pc.if_else(known, pa.array(whole), pa.scalar(None, pa.int64()))


def _times(values: Any, name: str, column: Column, form: Sheet, wrong: Wrong) -> Any:
    latest = None if column.past else intake.LATEST
    kind = values.type

    def judge(value: datetime) -> datetime:
        return intake.moment(value, latest - intake.AHEAD if latest else form.now)

    if pa.types.is_timestamp(kind) and kind.tz is not None:
        micro = values.cast(pa.timestamp("us", "UTC"), safe=False)
        early = pc.less(micro, pa.scalar(EARLIEST, micro.type))
        late = pc.greater(micro, pa.scalar(latest or form.now + intake.AHEAD, micro.type))
        return _filtered(micro, pc.or_(early, late), name, judge, wrong).cast(pa.int64())
    if pa.types.is_timestamp(kind):
        values = values.cast(pa.timestamp("us"), safe=False)

    def parse(text: str) -> int:
        return (intake.local_moment(text, dates.order, zone, form.now, latest) - _EPOCH) // _MICROSECOND

    dates, zone = form.map.dates, form.map.dates.zone
    return distinct(as_text(values), name, parse, pa.int64(), wrong)


def _lists(values: Any, name: str, column: Column, source: Source, wrong: Wrong) -> Any:
    def judge(found: Any) -> list[str]:
        for one in found:
            if not isinstance(one, str):
                raise ValueError("a list holds an empty value or one that is not text")
            if column.type == "ids":
                intake.identifier(one)
            elif "\x00" in one:
                raise ValueError("must not hold NUL")
        return list(found)

    def parse(text: str) -> list[str]:
        if text.startswith("[") and source.split is None:
            return judge(read_json(text.encode()))
        return judge([part.strip() for part in text.split(source.split or "|") if part.strip()])

    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        everywhere = pa.array(np.ones(len(values), bool))
        values = values.cast(pa.list_(pa.string()))
        return _filtered(values, pc.and_(everywhere, pc.is_valid(values)), name, judge, wrong)
    return distinct(as_text(values), name, parse, pa.list_(pa.string()), wrong)


def _json(text: str) -> str:
    try:
        value = read_json(text.encode())
    except InvalidRequest as error:
        raise ValueError(f"{shorten(text)} is {error.message.removeprefix('body: ')}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{shorten(text)} must be a JSON object")
    return text
