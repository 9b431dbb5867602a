"""Offers, ordered by what the customer buys.

No probability of redemption is claimed here: the score says how much of an offer is about what the customer
buys already, and for a customer without a history how much it is about what everybody buys.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array
from recsvc.engine import ranking
from recsvc.engine.eligibility import Shelf
from recsvc.engine.history import History
from recsvc.engine.model import Model

# A coupon may be for thousands of items; a reply names those that say most to this customer.
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class OfferBook:
    """All offers as arrays: o offers, their items in one run.

    offsets: (o + 1,) int64 into item_rows (int32, rows of one model; items it does not know are left out).
    active: (o,) bool. starts_at, ends_at: (o,) float64 epoch seconds, −inf and inf where open-ended.
    fame: (o,) float32, ln(1 + recent orders of the offer's items).
    """

    offsets: Array
    item_rows: Array
    active: Array
    starts_at: Array
    ends_at: Array
    fame: Array


@dataclass(frozen=True, slots=True)
class Ordered:
    """Offers in order: offers (r,) positions in the book, scores (r,) float32, cited (r,) int32 item row or −1,
    and for each offer the item rows to show, at most 20."""

    offers: Array
    scores: Array
    cited: Array
    items: list[Array]


def book(model: Model, items: list[Array], active: Array, starts_at: Array, ends_at: Array) -> OfferBook:
    """Return the book of offers whose items are given as item rows, one array per offer."""
    offsets = np.zeros(len(items) + 1, np.int64)
    np.cumsum([len(one) for one in items], out=offsets[1:])
    rows = np.concatenate(items).astype(np.int32) if items else np.empty(0, np.int32)
    orders = np.maximum(model.a["popularity"], 0.0)
    fame = np.log1p(_sums(orders[rows], offsets)).astype(np.float32)
    return OfferBook(offsets, rows, active, starts_at, ends_at, fame)


def order(offers: OfferBook, model: Model, history: History, shelf: Shelf, now: float, limit: int) -> Ordered:
    """Return up to `limit` offers that are valid at `now` (epoch seconds), best first.

    An offer needs an item that may be shown in public. Score: ln(1 + 10 · aged orders of its items by this
    customer) + fame / 10. The cited item is the one they buy most among the offer's; none when they buy
    nothing of it, never a sensitive one.
    """
    showable = shelf.public[offers.item_rows]
    live = offers.active & (offers.starts_at <= now) & (now < offers.ends_at) & (_sums(showable, offers.offsets) > 0)
    strength = np.zeros(model.n_items, np.float32)
    strength[history.item_rows] = np.where(history.liked, history.repeats, 0.0)
    per_item = np.where(showable, strength[offers.item_rows], np.float32(0.0))
    scores = (np.log1p(_sums(per_item, offers.offsets) * 10.0) + offers.fame / 10.0).astype(np.float32)
    chosen = ranking.top_k(np.where(live, scores, np.float32(-np.inf)), limit)
    cited, items = [], []
    for offer in chosen.tolist():
        part = slice(int(offers.offsets[offer]), int(offers.offsets[offer + 1]))
        rows, own = offers.item_rows[part], per_item[part]
        best = np.lexsort((rows, -model.a["popularity"][rows], -own))
        best = best[showable[part][best]][:_SHOWN]
        cited.append(int(rows[best[0]]) if own[best[0]] > 0 else -1)
        items.append(rows[best])
    return Ordered(chosen, scores[chosen], np.array(cited, np.int32), items)


def _sums(values: Array, offsets: Array) -> Array:
    """Return the sum of each run of `values`; empty runs give 0."""
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return np.asarray(total[offsets[1:]] - total[offsets[:-1]])
