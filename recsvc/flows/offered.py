"""Offered: the shop's offers as this worker judges them, made anew when one of them or the model changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recsvc.artifact import Array
from recsvc.engine import offers, redemption
from recsvc.engine.eligibility import Shelf
from recsvc.engine.model import Model
from recsvc.engine.offers import OfferBook
from recsvc.engine.refusals import Terms
from recsvc.engine.traits import Traits
from recsvc.errors import InvalidRequest
from recsvc.flows import terms
from recsvc.store.database import MICROSECONDS
from recsvc.store.live import Catalogue

DAY_MICROSECONDS = 86400 * MICROSECONDS


@dataclass(frozen=True, slots=True)
class Offered:
    """All offers, in order of id: rows as they are stored, and aligned with them the terms and, in cents, value and
    cost. at: offer → its position. groups: offer → its exclusive group, for those that have one. limited: whether any
    has a limit that must be looked up. book: None without a model. about_items: (o,) bool."""

    rows: list[Any]
    terms: tuple[Terms, ...]
    value: Array
    cost: Array
    at: Mapping[str, int]
    groups: Mapping[str, str]
    limited: bool
    about_items: Array
    book: OfferBook | None = None

    def available(self, shelf: Shelf | None, catalogue: Catalogue, now: float) -> Array:
        """Return (o,) bool: whether an item of the offer may be shown, true for an offer about no item."""
        found = ~self.about_items
        if self.book is not None and shelf is not None:
            found |= offers.available(self.book, shelf)
        unknown = np.diff(self.book.offsets) == 0 if self.book is not None else np.ones(len(self.rows), bool)
        for at in np.flatnonzero(~found & unknown).tolist():  # the model has none of its items
            found[at] = any(_open(catalogue.items.get(one), now) for one in self.rows[at].items)
        return found


def of(rows: list[Any]) -> Offered:
    """Return the offers of a catalogue, without a model. One that was stored wrong is left out, never served wrong."""
    kept, judged = [], []
    for row in rows:
        try:
            judged.append(terms.of(row))
        except (InvalidRequest, TypeError, ValueError):
            continue
        kept.append(row)
    return Offered(
        kept, tuple(judged),
        np.array([row.value_cents or 0 for row in kept], np.float64),
        np.array([row.cost_cents or 0 for row in kept], np.float64),
        {row.offer_id: at for at, row in enumerate(kept)},
        {row.offer_id: row.exclusive_group for row in kept if row.exclusive_group is not None},
        not all(one.plain for one in judged),
        np.array([bool(row.items or row.categories) for row in kept], bool),
    )  # fmt: skip


def with_model(found: Offered, model: Model, known: Traits) -> Offered:
    """Return the offers with their items in the rows of a model."""
    items = []
    for row in found.rows:
        mine = [model.rows[one] for one in row.items if one in model.rows]
        parts = [np.array(mine, np.int64), *(known.categories[name] for name in row.categories or ()
                                             if name in known.categories)]  # fmt: skip
        items.append(np.unique(np.concatenate(parts)).astype(np.int32))
    names = [redemption.campaign(row.offer_id, row.attributes) for row in found.rows]
    codes = {name: code for code, name in enumerate(dict.fromkeys(names))}
    campaigns = np.array([codes[name] for name in names], np.int64)
    days = np.array([_days(row) for row in found.rows], np.float64)
    return replace(found, book=offers.book(model, items, campaigns, days))


def _days(row: Any) -> float:
    if row.starts_at is None or row.ends_at is None:
        return float("nan")
    return float(row.ends_at - row.starts_at) / DAY_MICROSECONDS


def _open(item: Any, now: float) -> bool:
    micro = now * MICROSECONDS
    return bool(
        item is not None and item.active and not item.sensitive and (item.stock is None or item.stock > 0)
        and (item.available_from is None or item.available_from <= micro)
        and (item.available_to is None or micro < item.available_to)
    )  # fmt: skip
