"""Offers as arrays: what they are about, how likely a customer redeems each, and which items speak for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array
from recsvc.engine import redemption
from recsvc.engine.eligibility import Shelf
from recsvc.engine.history import History
from recsvc.engine.model import Model
from recsvc.engine.redemption import About

# A coupon may be for thousands of items; a reply names those that say most to this customer.
SHOWN = 20


@dataclass(frozen=True, slots=True)
class OfferBook:
    """All offers as arrays: o offers, their items in one run.

    offsets: (o + 1,) int64 into item_rows (int32, rows of one model; items it does not know are left out).
    fame: (o,) float32, ln(1 + recent orders of the offer's items). about: what the offer model looks at.
    """

    offsets: Array
    item_rows: Array
    fame: Array
    about: About


@dataclass(frozen=True, slots=True)
class Evidence:
    """What of an offer speaks to a customer. cited: the item row they buy most of it, never a sensitive one, −1 when
    they buy nothing of it. item_rows: at most 20 that may be shown, those that say most first."""

    cited: int
    item_rows: Array


def book(model: Model, items: list[Array], campaigns: Array, days: Array) -> OfferBook:
    """Return the book of offers.

    Args:
        items: of each offer, rows of its items, ascending, each once.
        campaigns: (o,) int, equal for the offers of one campaign.
        days: (o,) float, how long each is valid; NaN where open-ended.
    """
    offsets = np.zeros(len(items) + 1, np.int64)
    np.cumsum([len(one) for one in items], out=offsets[1:])
    rows = np.concatenate(items).astype(np.int32) if items else np.empty(0, np.int32)
    orders = np.maximum(model.a["popularity"], 0.0)
    fame = np.log1p(_sums(orders[rows], offsets)).astype(np.float32)
    return OfferBook(offsets, rows, fame, redemption.about(model.takers.goods, items, campaigns, days))


def available(offers: OfferBook, shelf: Shelf) -> Array:
    """Return (o,) bool: whether an item of the offer may be shown in public; false where the model knows none of it."""
    return np.asarray(_sums(shelf.public[offers.item_rows], offers.offsets) > 0)


def evidence(offers: OfferBook, model: Model, history: History, shelf: Shelf, at: int) -> Evidence:
    """Return what of the offer at a position speaks to a customer."""
    rows = offers.item_rows[int(offers.offsets[at]) : int(offers.offsets[at + 1])]
    rows = rows[shelf.public[rows]]
    strength = np.zeros(len(rows), np.float32)
    place = np.searchsorted(history.item_rows, rows)
    there = place < len(history)
    there[there] = history.item_rows[place[there]] == rows[there]
    mine = place[there]
    strength[there] = np.where(history.liked[mine], history.repeats[mine], 0.0)
    best = np.lexsort((rows, -model.a["popularity"][rows], -strength))[:SHOWN]
    cited = int(rows[best[0]]) if len(best) and strength[best[0]] > 0 else -1
    return Evidence(cited, rows[best])


def _sums(values: Array, offsets: Array) -> Array:
    """Return the sum of each run of `values`; empty runs give 0."""
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return np.asarray(total[offsets[1:]] - total[offsets[:-1]])
