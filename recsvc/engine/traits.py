"""What the catalogue says of the n items of one model, as arrays: what filters and rules ask, and who is whose variant.

Made whole with a model; of a newer catalogue only what differs is read again. Attributes are kept as the text they are
stored as, and a column of them is read when somebody first filters by it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np

from recsvc.artifact import Array

MICROSECONDS: Final = 1e6
MOST: Final = 10**300  # a whole number beyond what can be compared counts as none
Scalar = str | float | bool
Value = Scalar | tuple[Scalar, ...] | None
"""What an item has under a name: one value, several, or none."""


class Item(Protocol):
    """An item as the catalogue holds it: times in microseconds since 1970, attributes as JSON text."""

    item_id: str
    parent_id: str | None
    brand: str | None
    categories: list[str] | None
    price_cents: int | None
    stock: int | None
    created_at: int | None
    available_from: int | None
    attributes: str | None


@dataclass(frozen=True, slots=True)
class Column:
    """What n items have under one name. codes: (n,) int32 positions in `values`, −1 where an item has nothing."""

    codes: Array
    values: tuple[Value, ...]


class Attributes:
    """The attributes of n items; each column is read once and kept."""

    def __init__(self, texts: Sequence[str | None], known: Mapping[str, Column] | None = None) -> None:
        self.texts = texts
        self._known = dict(known or {})
        self._lock = threading.Lock()

    def column(self, name: str) -> Column:
        """Return what the items have under a name. The first call for it reads the text of every item."""
        found = self._known.get(name)
        if found is None:
            with self._lock:
                found = self._known.get(name) or _coded([attribute(text, name) for text in self.texts])
                self._known[name] = found
        return found

    def renewed(self, rows: Array, texts: Sequence[str | None]) -> Attributes:
        """Return these attributes with other texts in `rows`; columns that were read stay so."""
        changed = [(row, text) for row, text in zip(rows.tolist(), texts, strict=True) if self.texts[row] != text]
        if not changed:
            return self
        mine = list(self.texts)
        for row, text in changed:
            mine[row] = text
        where = np.array([row for row, _ in changed], np.int64)
        known = {
            name: _recoded(column, where, [attribute(text, name) for _, text in changed])
            for name, column in list(self._known.items())
        }
        return Attributes(mine, known)


@dataclass(frozen=True, slots=True)
class Traits:
    """The traits of n items, as parallel arrays; an item that the catalogue does not have has none.

    item_ids, rows: the model's, id by row and row by id. brand: a column. parent: (n,) int64, equal for variants of one
    parent: the parent's row, or n + its place in `parents` where the model does not know it; an item without
    a parent is its own. variants: whether any item has another for its parent. price_cents: (n,) float64; created_at,
    available_from: (n,) float64 epoch seconds; all NaN where unknown. stock: (n,) float64, infinity for unlimited.
    categories: name → item rows, ascending.
    """

    item_ids: Sequence[str]
    rows: Mapping[str, int]
    brand: Column
    parent: Array
    variants: bool
    parents: Mapping[str, int]
    price_cents: Array
    created_at: Array
    available_from: Array
    stock: Array
    categories: Mapping[str, Array]
    attributes: Attributes


def of(item_ids: Sequence[str], rows: Mapping[str, int], items: Mapping[str, Item]) -> Traits:
    """Return the traits of a model's items.

    Args:
        item_ids, rows: the model's.
        items: the catalogue's.
    """
    found = [items.get(item_id) for item_id in item_ids]
    parents: dict[str, int] = {}
    parent = _parents(item_ids, found, rows, parents)
    price, created, available_from, stock = _numbers(found)
    return Traits(
        item_ids, rows, _coded([one.brand if one else None for one in found]), parent, _varied(parent), parents, price,
        created, available_from, stock, _members(found), Attributes([one.attributes if one else None for one in found]),
    )  # fmt: skip


def renewed(old: Traits, changed: Sequence[str], items: Mapping[str, Item], before: Mapping[str, Item]) -> Traits:
    """Return the traits of a newer catalogue.

    Args:
        changed: the ids that differ, all of them in the model.
        items, before: the newer catalogue, and the one `old` was made of.
    """
    where = np.array([old.rows[one] for one in changed], np.int64)
    found = [items.get(one) for one in changed]
    parents = dict(old.parents)
    parent = _set(old.parent, where, _parents(changed, found, old.rows, parents))
    price, created, available_from, stock = _numbers(found)
    moved = any(_of(before.get(one)) != _of(items.get(one)) for one in changed)
    return replace(
        old,
        brand=_recoded(old.brand, where, [one.brand if one else None for one in found]),
        parent=parent,
        variants=_varied(parent),
        parents=parents,
        price_cents=_set(old.price_cents, where, price),
        created_at=_set(old.created_at, where, created),
        available_from=_set(old.available_from, where, available_from),
        stock=_set(old.stock, where, stock),
        categories=_members([items.get(one) for one in old.item_ids]) if moved else old.categories,
        attributes=old.attributes.renewed(where, [one.attributes if one else None for one in found]),
    )


def attribute(text: str | None, name: str) -> Value:
    """Return what an item has under a name in its attributes; an object counts as nothing."""
    # As the store writes it. Most columns are in few texts, and reading one costs ten times as much as this.
    if text is None or json.dumps(name) not in text:
        return None
    value = json.loads(text).get(name)
    if isinstance(value, list):
        return tuple(one for one in map(_scalar, value) if one is not None) or None
    return _scalar(value)


def _scalar(value: Any) -> Scalar | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < MOST else None
    return value if isinstance(value, (str, float, bool)) else None


def _of(item: Item | None) -> list[str]:
    return (item.categories or []) if item is not None else []


def _members(found: Sequence[Item | None]) -> dict[str, Array]:
    members: dict[str, list[int]] = {}
    for row, item in enumerate(found):
        for name in dict.fromkeys(_of(item)):
            members.setdefault(name, []).append(row)
    return {name: np.array(rows, np.int32) for name, rows in members.items()}


def _parents(
    item_ids: Sequence[str], found: Sequence[Item | None], rows: Mapping[str, int], parents: dict[str, int]
) -> Array:
    """Return the parent of each item; names that are new are added to `parents`."""
    out = np.empty(len(item_ids), np.int64)
    for at, (item_id, item) in enumerate(zip(item_ids, found, strict=True)):
        name = item.parent_id if item is not None and item.parent_id is not None else item_id
        row = rows.get(name)
        out[at] = len(rows) + parents.setdefault(name, len(parents)) if row is None else row
    return out


def _varied(parent: Array) -> bool:
    return bool((parent != np.arange(len(parent))).any())


def _numbers(found: Sequence[Item | None]) -> tuple[Array, Array, Array, Array]:
    """Return price_cents, created_at, available_from and stock."""

    return (
        np.array([np.nan if one is None or one.price_cents is None else one.price_cents for one in found], np.float64),
        _seconds([None if one is None else one.created_at for one in found]),
        _seconds([None if one is None else one.available_from for one in found]),
        np.array([np.inf if one is None or one.stock is None else one.stock for one in found], np.float64),
    )


def _seconds(micro: Sequence[int | None]) -> Array:
    return np.array([np.nan if one is None else one for one in micro], np.float64) / MICROSECONDS


def _set(column: Array, where: Array, fresh: Array) -> Array:
    out = column.copy()
    out[where] = fresh
    return out


def _coded(values: Sequence[Value]) -> Column:
    return _recoded(Column(np.full(len(values), -1, np.int32), ()), np.arange(len(values)), values)


def _recoded(column: Column, where: Array, values: Sequence[Value]) -> Column:
    """Return a column with other values in the rows `where`."""
    place = {_key(value): code for code, value in enumerate(column.values)}
    known = list(column.values)
    fresh = np.full(len(values), -1, np.int32)
    for at, value in enumerate(values):
        if value is None:
            continue
        fresh[at] = place.setdefault(_key(value), len(known))
        if fresh[at] == len(known):
            known.append(value)
    return Column(_set(column.codes, where, fresh), tuple(known))


def _key(value: Value) -> Any:
    # By type too: to Python, True and 1.0 are one key.
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return tuple(_key(one) for one in value)
    return (type(value), value)
