"""Extras: a shop's own columns of items and customers, which the ranker sees beside what it is taught anyway.

They come from a file, from attributes in the store, or by a query; each row is one item or customer. What they say is
taken as it is now, for the held-back days too: a column that knows what came later makes the measured numbers too good.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from recsvc.artifact import Array
from recsvc.engine.model import FEATURES, NOTHING_SAID
from recsvc.errors import InvalidRequest
from recsvc.intake import shorten
from recsvc.store import files
from recsvc.store.customers import customers
from recsvc.store.items import items
from recsvc.store.maps import File
from training import queries
from training.config import Columns, Config

MOST: Final = 200
_TRUTHS: Final = {"true": 1.0, "false": 0.0}
# The id of an item or customer, and what the store holds of it.
Attributes = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Side:
    """The columns of one side. names: of the columns. values: (ids, columns) float32, NaN where nothing is said.
    note: where they come from and what did not fit, for people; empty without columns."""

    names: tuple[str, ...]
    values: Array
    note: str = ""

    def at(self, rows: Array) -> Side:
        """Return the side of other rows; −1 stands for one of which nothing is said."""
        values = np.where((rows >= 0)[:, None], self.values[rows], np.float32(np.nan))
        return Side(self.names, values, self.note)

    @property
    def kept(self) -> Array:
        """The values as an artifact holds them."""
        return np.where(np.isnan(self.values), np.float32(NOTHING_SAID), self.values)


@dataclass(frozen=True, slots=True)
class Extras:
    """Both sides, in the codes of a log or the rows of a matrix."""

    items: Side
    customers: Side

    @property
    def parameters(self) -> dict[str, list[str]]:
        """What the manifest says of them."""
        return {"items": list(self.items.names), "customers": list(self.customers.names)}

    @property
    def notes(self) -> list[str]:
        """What there is to say of where they come from."""
        return [side.note for side in (self.items, self.customers) if side.note]


def names(extras: Extras | None) -> list[str]:
    """Return the name of every column that the ranker sees."""
    if extras is None:
        return list(FEATURES)
    return [*FEATURES, *(f"item {one}" for one in extras.items.names),
            *(f"customer {one}" for one in extras.customers.names)]  # fmt: skip


def read(engine: sa.Engine, config: Config, item_ids: list[str], customer_ids: list[str]) -> Extras | None:
    """Return what the configured columns say of some items and customers; None where none are configured.

    Raises:
        InvalidRequest: a file, query, column or attribute that is not there, a value that is no number, an id that
            stands twice; it is named.
    """
    of_items, of_customers = config.features.items, config.features.customers
    if of_items == of_customers == Columns():
        return None
    return Extras(
        _side("items", of_items, config, item_ids, _stored(engine, items.c.item_id, items, of_items)),
        _side("customers", of_customers, config, customer_ids,
              _stored(engine, customers.c.customer_id, customers, of_customers)),
    )  # fmt: skip


def _stored(engine: sa.Engine, key: sa.Column[str], table: sa.Table, wanted: Columns) -> Iterator[Attributes]:
    """Yield the id and attributes of what the store holds, where they are asked for."""
    if wanted.attributes:
        with engine.connect() as connection:
            for one, said in connection.execute(sa.select(key, table.c.attributes).where(sa.not_(table.c.deleted))):
                yield one, said or {}


def _side(side: str, wanted: Columns, config: Config, ids: list[str], stored: Iterator[Attributes]) -> Side:
    """Return the columns of one side for some ids."""
    where = f"features.{side}"
    if wanted == Columns():
        return Side((), np.empty((len(ids), 0), np.float32))
    if wanted.attributes:
        found, source = _of_attributes(where, wanted.attributes, stored), "the store"
    else:
        source = wanted.file or "the query"
        found = _of_pieces(f"{where}: {source}", f"{side[:-1]}_id", wanted, _pieces(where, wanted, config))
    columns = list(found)
    rows = {one: n for n, one in enumerate(ids)}
    values = np.full((len(ids), len(columns)), np.nan, np.float32)
    said: set[str] = set()
    for n, name in enumerate(columns):
        said |= found[name].keys()
        at = [(rows[one], value) for one, value in found[name].items() if one in rows]
        for row, value in at:
            values[row, n] = value
    known = len(said & rows.keys())
    if said and not known:
        raise InvalidRequest(f"{where}: {source}: none of its {len(said):,} ids is one of the {side} of the history")
    without = len(ids) - known
    note = f"{where}: {', '.join(columns)} of {source}: says nothing of {without:,} of {len(ids):,} {side}"
    note += "" if wanted.attributes else f", {len(said) - known:,} of its rows are of others"
    return Side(tuple(columns), values, note)


def _pieces(where: str, wanted: Columns, config: Config) -> Iterator[files.Piece]:
    if wanted.query:
        yield from queries.pieces(config.source.url or "", f"{where}.query", wanted.query)
        return
    path = Path(wanted.file or "")
    if not path.is_file():
        raise InvalidRequest(f"{where}.file: {path}: there is no such file")
    yield from files.pieces(path, File(), lambda head: set(head.columns))


def _of_pieces(where: str, key: str, wanted: Columns, pieces: Iterator[files.Piece]) -> dict[str, dict[str, float]]:
    """Return column → id → value of a table with the ids in the column `key`."""
    found: dict[str, dict[str, float]] = {}
    seen: set[str] = set()
    for piece in pieces:
        if piece.broken:
            raise InvalidRequest(f"{where}: row {piece.broken[0].number}: {piece.broken[0].reason}")
        if key not in piece.columns:
            raise InvalidRequest(f"{where}: has no column {key}; it has {', '.join(list(piece.columns)[:20])}")
        chosen = wanted.columns or [name for name in piece.columns if name != key]
        _check_columns(where, chosen, [name for name in piece.columns if name != key])
        ids = _ids(where, key, piece)
        for number, one in zip(piece.numbers.tolist(), ids, strict=True):
            if one in seen:
                raise InvalidRequest(f"{where}: row {number}: {shorten(one)} stands twice")
            seen.add(one)
        for name in chosen:
            values = _numbers(f"{where}: {name}", piece.columns[name], piece.numbers)
            # NaN is kept, so that a row of which nothing is said is not counted as missing.
            found.setdefault(name, {}).update(zip(ids, values.tolist(), strict=True))
    if not seen:
        raise InvalidRequest(f"{where}: has no rows")
    return found


def _check_columns(where: str, chosen: list[str], there: list[str]) -> None:
    if not chosen:
        raise InvalidRequest(f"{where}: has no column beside the ids")
    if len(chosen) > MOST:
        raise InvalidRequest(f"{where}: {len(chosen)} columns, at most {MOST}; name some in `columns`")
    for name in chosen:
        if name not in there:
            raise InvalidRequest(f"{where}: has no column {name}{_nearest(name, there)}")


def _nearest(name: str, there: list[str]) -> str:
    close = difflib.get_close_matches(name, there, n=1)
    return f", did you mean {close[0]}?" if close else f"; it has {', '.join(there[:20])}"


def _ids(where: str, key: str, piece: files.Piece) -> list[str]:
    values = _plain(piece.columns[key])
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        if not pa.types.is_integer(values.type):
            raise InvalidRequest(f"{where}: {key}: is {values.type}, must be text or whole numbers")
        values = values.cast(pa.string())
    out: list[str] = []
    for number, one in zip(piece.numbers.tolist(), values.to_pylist(), strict=True):
        if not one:
            raise InvalidRequest(f"{where}: row {number}: {key}: is missing")
        out.append(one)
    return out


def _plain(values: Any) -> Any:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_binary(values.type):  # CSV in UTF-8
        values = values.cast(pa.string())
    return values


def _numbers(where: str, raw: Any, numbers: Array) -> Array:
    """Return (rows,) float64 of a raw column; true and false are 1 and 0, what is empty is NaN."""
    try:
        values = _plain(raw)
    except pa.ArrowInvalid:
        raise InvalidRequest(f"{where}: is not text in UTF-8") from None
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        told = zip(numbers.tolist(), values.to_pylist(), strict=True)
        return np.array([_number(where, one, f"row {number}") for number, one in told], np.float64)
    if not (pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)
            or pa.types.is_decimal(kind) or pa.types.is_null(kind)):  # fmt: skip
        raise InvalidRequest(f"{where}: is {kind}, must be numbers, or true and false")
    plain = values.cast(pa.int8()) if pa.types.is_boolean(kind) else values
    out = np.asarray(pc.fill_null(plain.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False), np.float64)
    wrong = np.flatnonzero(~_fits(out))
    if len(wrong):
        raise InvalidRequest(f"{where}: row {numbers[wrong[0]]}: {out[wrong[0]]:g}, must be a finite number of 32 bits")
    return out


def _number(where: str, value: Any, row: str) -> float:
    """Return one value as a number, NaN for none."""
    if value is None or value == "":
        return np.nan
    if isinstance(value, str):
        try:
            value = _TRUTHS.get(value.strip().lower()) if value.strip().lower() in _TRUTHS else float(value)
        except ValueError:
            raise InvalidRequest(f"{where}: {row}: {shorten(value)}, must be a number, or true or false") from None
    if not isinstance(value, int | float):
        raise InvalidRequest(f"{where}: {row}: is a {type(value).__name__}, must be a number, or true or false")
    if not _fits(np.array([float(value)]))[0]:
        raise InvalidRequest(f"{where}: {row}: {value:g}, must be a finite number of 32 bits")
    return float(value)


def _fits(values: Array) -> Array:
    return np.isnan(values) | (np.abs(values) < -float(NOTHING_SAID))


def _of_attributes(where: str, wanted: list[str], stored: Iterator[Attributes]) -> dict[str, dict[str, float]]:
    """Return attribute → id → value, of those that have it."""
    found: dict[str, dict[str, float]] = {name: {} for name in wanted}
    there: dict[str, None] = {}
    for one, attributes in stored:
        there |= dict.fromkeys(attributes)
        for name in wanted:
            if attributes.get(name) is not None:
                found[name][one] = _number(f"{where}.attributes: {name}", attributes[name], f"id {shorten(one)}")
    for name in wanted:
        if not found[name]:
            raise InvalidRequest(f"{where}.attributes: nobody has {name}{_nearest(name, list(there))}")
    return found
