"""What sells: bestsellers, what is trending, and a segment's list; the same for everybody who asks.

A shop sells on while a model ages, so the counts are the model's with what came since added to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import Generator, Reason
from recsvc.engine import ranking
from recsvc.engine.eligibility import Shelf
from recsvc.engine.lists import Listed, plain, visible
from recsvc.engine.model import Model

# With less than this part of what the model's newest window has, the last days are no shop that goes on selling but
# the few orders of one that is looked at: then a window ends with the newest day that the model knows.
_GOES_ON = 0.1


@dataclass(frozen=True, slots=True)
class Sales:
    """Orders net of returns per item and day, of n items. rows, days (since 1970), orders: (e,), sorted by day.
    newest: the newest day that the model knows. karma: (n,) float32, the items' own, which lists are net of."""

    n: int
    rows: Array
    days: Array
    orders: Array
    newest: int
    karma: Array

    def within(self, last_day: int, window_days: int) -> Array:
        """Return (n,) float64: the orders of the `window_days` days that end with `last_day`, both included."""
        start, end = np.searchsorted(self.days, [last_day - window_days + 1, last_day + 1])
        return np.bincount(self.rows[start:end], self.orders[start:end], self.n)


@dataclass(frozen=True, slots=True)
class Window:
    """The `days` days that end now. now: epoch seconds."""

    now: float
    days: int

    def last_day(self, sales: Sales) -> int:
        """Return the day with which it ends: today, or the newest of the model where hardly anything came since."""
        today = int(self.now // 86400)
        if today <= sales.newest:
            return today
        now, then = (sales.within(day, self.days).sum() for day in (today, sales.newest))
        return today if now >= _GOES_ON * then else sales.newest


def sales_of(model: Model) -> Sales:
    """Return what a model knows of sales."""
    days = model.a["sale_days"]
    newest = int(days[-1]) if len(days) else 0
    return Sales(model.n_items, model.a["sale_rows"], days, model.a["sale_orders"], newest, model.a["karma"])


def added(sales: Sales, rows: Array, days: Array, orders: Array) -> Sales:
    """Return sales with what came since, (e,) each, in any order."""
    days = np.concatenate([sales.days, days])
    order = np.argsort(days, kind="stable")
    rows, orders = np.concatenate([sales.rows, rows]), np.concatenate([sales.orders, orders])
    return Sales(sales.n, rows[order], days[order], orders[order], sales.newest, sales.karma)


def bestsellers(sales: Sales, shelf: Shelf, among: Array | None, window: Window, limit: int) -> Listed:
    """Return the items with most orders, net of returns and times the karma of each, in a window.

    Args:
        among: (n,) bool, the items asked for, as those of one category; None for all.
    """
    counts = sales.within(window.last_day(sales), window.days)
    return _public(counts * sales.karma, shelf, among, limit, Reason.FALLBACK)


def trending(sales: Sales, shelf: Shelf, among: Array | None, window: Window, limit: int) -> Listed:
    """Return the items whose orders rose most in the window against the four windows before.

    Score: (seen − expected) / sqrt(expected + 1), with `expected` the mean of those four, so that a rise from
    1 to 3 does not beat a rise from 100 to 150; times the karma of the item.
    """
    end = window.last_day(sales)
    seen = sales.within(end, window.days)
    expected = sales.within(end - window.days, 4 * window.days) / 4.0
    rise = (seen - expected) / np.sqrt(np.maximum(expected, 0.0) + 1.0)
    return _public(np.where(seen > 0, rise * sales.karma, 0.0), shelf, among, limit, Reason.TRENDING_IN)


def segment(model: Model, segment_row: int, shelf: Shelf, without: Array, limit: int) -> Listed:
    """Return what customers of a segment buy most."""
    rows = model.a["segment_rows"][segment_row]
    rows = rows[rows >= 0]
    listed = plain(rows, np.linspace(1.0, 0.0, len(rows), endpoint=False), Reason.FALLBACK)
    return visible(listed, shelf.public, without, limit)


def interleaved(parts: list[Listed], limit: int) -> Listed:
    """Return the first `limit` items of several lists taken in turns, none twice; scores fall evenly from 1, because
    those of different lists do not compare."""
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.then(part)
    turn: dict[int, tuple[int, int]] = {}
    for n, part in enumerate(parts):
        for place, row in enumerate(part.rows.tolist()):
            turn[row] = min(turn.get(row, (place, n)), (place, n))
    order = np.array(sorted(range(len(whole.rows)), key=lambda at: turn[int(whole.rows[at])]), np.int64)[:limit]
    listed = whole.take(order)
    return Listed(listed.rows, (1.0 / (1.0 + np.arange(len(order)))).astype(np.float32), listed.reasons)


def _public(scores: Array, shelf: Shelf, among: Array | None, limit: int, reason: Reason) -> Listed:
    allowed = shelf.public & (scores > 0) & (True if among is None else among)
    rows = ranking.top_k(np.where(allowed, scores, -np.inf), limit)
    return plain(rows, scores[rows], reason, Generator.POPULARITY)
