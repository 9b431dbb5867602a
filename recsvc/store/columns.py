"""What each noun's columns must hold, and the check of a whole piece of a file at once.

A row that is wrong is noted with its column and reason, and never fails the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsvc.artifact import Array
from recsvc.concepts import CHANNELS, KIND_NAMES, OFFER_KINDS
from recsvc.errors import InvalidRequest
from recsvc.intake import shorten
from recsvc.store import files, values
from recsvc.store.files import Head, Piece
from recsvc.store.fills import Filler
from recsvc.store.maps import Map, Source
from recsvc.store.values import Column, Sheet, Wrong

_MONEY = Column("integer", low=0)
_TIME, _TEXT, _JSON = Column("time"), Column("text"), Column("json", default={})
_OBJECT = Column("json")

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
        "interaction_id": Column("id"), "customer_id": Column("id"),
        "item_id": Column("id"), "kind": Column("text", required=True, among=KIND_NAMES),
        "occurred_at": Column("time", required=True, past=True), "quantity": Column("integer", low=0),
        "value_cents": _MONEY, "currency": _TEXT, "order_id": Column("id"), "channel": Column("text", among=CHANNELS),
        "stars": Column("integer", low=1, high=5), "reason": _TEXT, "offer_id": Column("id"),
    },
    "offers": {
        "offer_id": Column("id", required=True), "name": Column("text", required=True),
        "kind": Column("text", required=True, among=OFFER_KINDS), "benefit": _TEXT, "value_cents": _MONEY,
        "cost_cents": _MONEY, "currency": _TEXT, "starts_at": _TIME, "ends_at": _TIME,
        "active": Column("boolean", default=True), "items": Column("ids", default=[]), "attributes": _JSON,
        "priority": Column("integer", low=-1000, high=1000, default=0), "exclusive_group": Column("id"),
        "stackable": Column("boolean", default=True), "categories": Column("texts", default=[]),
        "channels": Column("texts", default=[]), "budget": _OBJECT,
        "max_per_customer": Column("integer", low=1, high=1_000_000),
        "cooldown_days": Column("integer", low=0, high=3650), "max_shown": Column("integer", low=1, high=1_000_000),
        "capacity": _MONEY, "eligibility": _OBJECT,
        "creative": _JSON,
    },
}  # fmt: skip


def read(noun: str, path: Path, a_map: Map, now: datetime) -> Iterator[tuple[Piece, Sheet]]:
    """Yield the pieces of a file, each with how it is read.

    Raises:
        InvalidRequest: the file cannot be read, or an unknown or missing column; names it.
    """
    forms = []

    def choose(head: Head) -> set[str]:
        forms.append(sheet(noun, a_map, head, str(path), now))
        return forms[0].wanted

    filler = Filler(a_map.fill) if a_map.fill else None
    for piece in files.pieces(path, a_map.file, choose):
        yield filler.filled(piece) if filler else piece, forms[0]


def sheet(noun: str, a_map: Map, head: Head, where: str, now: datetime) -> Sheet:
    """Return how a table is read for a noun.

    Args:
        where: what it is called in errors.

    Raises:
        InvalidRequest: an unknown or missing column; names it.
    """
    spec, sources = COLUMNS[noun], a_map.sources(noun)
    if not sources:
        # What is within an object belongs to the object's column.
        unknown = [name for name in head.columns if name not in spec and name.partition(".")[0] not in spec]
        others = [one for one in COLUMNS if a_map.sources(one)]
        if unknown and others:
            raise InvalidRequest(f"{where}: the map says nothing of {noun}: it has {', '.join(others)}")
        if unknown:
            raise InvalidRequest(
                f"{where}: unknown column {shorten(unknown[0])}; {noun} have {', '.join(spec)}."
                f" For other names, write a map: recsvc import guess {where}"
            )
        # Every JSON line may have other fields; a table has what its header says.
        sources = {name: Source(column=name) for name in (spec if head.format == "jsonl" else head.columns)}
    missing = [name for name, column in spec.items() if column.required and name not in sources]
    if missing:
        raise InvalidRequest(f"{where}: the column {missing[0]} is missing")
    return Sheet(noun, a_map, sources, now)


def check(piece: Piece, form: Sheet) -> tuple[dict[str, Any], Wrong, Array]:
    """Return (column → Arrow array of all rows, what is wrong, (rows,) bool: left out by the map's `skip`).

    Times are microseconds since 1970. Rows that are wrong hold nulls where they are.
    """
    spec, wrong, count = COLUMNS[form.noun], Wrong(), len(piece.numbers)
    skipped = np.zeros(count, bool)
    for name, pattern in form.map.skip.items():
        found = re.compile(pattern)
        hit = values.distinct(
            values.as_text(values.raw(piece, name, form, Wrong())),
            name,
            partial(_matches, found),
            pa.bool_(),
            Wrong(),
        )
        skipped |= hit.fill_null(False).to_numpy(zero_copy_only=False)
    out = {}
    for name, source in form.sources.items():
        if source.value is not None:
            given = pa.array([str(source.value)] * count, pa.string())
        else:
            given = values.raw(piece, source.column or "", form, wrong, name)
        if source.clock:
            given = _joined(given, values.raw(piece, source.clock, form, wrong, name))
        out[name] = values.read(given, name, spec[name], source, form, wrong, piece)
        if spec[name].required and out[name].null_count:
            for row in np.flatnonzero(pc.is_null(out[name]).to_numpy(zero_copy_only=False)).tolist():
                wrong.note(row, name, None, "is empty")
    return out, wrong, skipped


def _joined(days: Any, clock: Any) -> Any:
    """Return the text of days with their time of day, where there is one."""
    days = pc.replace_substring_regex(values.as_text(days), r"[T ]00:00(:00(\.0+)?)?$", "")
    clock = values.as_text(clock)
    return pc.if_else(pc.is_valid(clock), pc.binary_join_element_wise(days, clock, " "), days)


def rows_of(columns: dict[str, Any], noun: str, keep: Array, absent: dict[str, Array]) -> list[dict[str, Any]]:
    """Return the kept rows as dictionaries, empty values with their defaults.

    Args:
        absent: column → (rows,) bool: the row does not speak of it, so it is not in its dictionary.
    """
    lists, spec = {}, COLUMNS[noun]
    for name, given in columns.items():
        default = spec[name].default
        found = given.filter(pa.array(keep)).to_pylist()
        if spec[name].type == "json":
            found = [None if text is None else json.loads(text) for text in found]
        lists[name] = found if default is None else [default if value is None else value for value in found]
    rows = [dict(zip(lists, one, strict=True)) for one in zip(*lists.values(), strict=True)]
    for name in lists.keys() & absent.keys():
        for row in np.flatnonzero(absent[name][keep]).tolist():
            del rows[row][name]
    return rows


def absent(piece: Piece, form: Sheet) -> dict[str, Array]:
    """Return column → (rows,) bool: the rows that do not speak of it, unlike those where it is empty."""
    return {
        name: piece.absent[source.column]
        for name, source in form.sources.items()
        if source.value is None and source.column in piece.absent
    }


def defaults(noun: str) -> dict[str, Any]:
    """Return what a new row has in the columns that its file has not."""
    return {name: column.default for name, column in COLUMNS[noun].items()}


def _matches(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.search(text) is not None
