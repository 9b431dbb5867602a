"""Offers, ordered by what the customer buys.

No probability of redemption is claimed here: the score says how much of an offer is about what the customer
buys already, and for a customer without a history how much it is about what everybody buys.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array
from recsvc.engine.history import History
from recsvc.engine.model import Model


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
    """Offers in order: offers (r,) positions in the book, scores (r,) float32, cited (r,) int32 item row or −1."""

    offers: Array
    scores: Array
    cited: Array


def book(model: Model, items: list[Array], active: Array, starts_at: Array, ends_at: Array) -> OfferBook:
    """Return the book of offers whose items are given as item rows, one array per offer."""
    offsets = np.zeros(len(items) + 1, np.int64)
    np.cumsum([len(one) for one in items], out=offsets[1:])
    rows = np.concatenate(items).astype(np.int32) if items else np.empty(0, np.int32)
    orders = np.maximum(model.a["popularity"], 0.0)
    fame = np.log1p(_sums(orders[rows], offsets)).astype(np.float32)
    return OfferBook(offsets, rows, active, starts_at, ends_at, fame)


def order(offers: OfferBook, history: History, sensitive: Array, now: float, limit: int) -> Ordered:
    """Return up to `limit` offers that are valid at `now` (epoch seconds), best first.

    Score: ln(1 + aged orders of the offer's items by this customer, in tenths) + fame / 10. The cited item is the
    one they buy most among the offer's; none when they buy nothing of it or when it is sensitive.
    """
    live = np.flatnonzero(offers.active & (offers.starts_at <= now) & (now < offers.ends_at))
    if not len(live):
        return Ordered(live, np.empty(0, np.float32), np.empty(0, np.int32))
    strength = np.zeros(len(sensitive), np.float32)
    strength[history.item_rows] = np.where(history.weights > 0, history.repeats, 0.0)
    per_item = strength[offers.item_rows]
    own = _sums(per_item, offers.offsets)[live]
    scores = (np.log1p(own * 10.0) + offers.fame[live] / 10.0).astype(np.float32)
    best = np.lexsort((live, -scores))[:limit]
    chosen = live[best]
    cited = [_cite(offers, per_item, int(one), sensitive) for one in chosen]
    return Ordered(chosen, scores[best], np.array(cited, np.int32))


def _cite(offers: OfferBook, per_item: Array, offer: int, sensitive: Array) -> int:
    start, end = int(offers.offsets[offer]), int(offers.offsets[offer + 1])
    values = np.where(sensitive[offers.item_rows[start:end]], 0.0, per_item[start:end])
    if not len(values) or values.max() <= 0:
        return -1
    return int(offers.item_rows[start + int(values.argmax())])


def _sums(values: Array, offsets: Array) -> Array:
    """Return the sum of each run of `values`; empty runs give 0."""
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return np.asarray(total[offsets[1:]] - total[offsets[:-1]])
