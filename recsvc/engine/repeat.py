"""Buy again: what a customer bought before and is likely to want now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array
from recsvc.engine.eligibility import Shelf
from recsvc.engine.history import DAY, History

# Somebody who bought yesterday does not want it today; by this part of the usual interval they may again.
EARLY = 0.4


@dataclass(frozen=True, slots=True)
class Repeats:
    """Items to buy again, best first. rows (r,) int32, scores (r,) float32, last_at (r,) int64 epoch seconds,
    interval_days (r,) float32, NaN where there was one order only, orders (r,) int32."""

    rows: Array
    scores: Array
    last_at: Array
    interval_days: Array
    orders: Array


def buy_again(history: History, shelf: Shelf, now: float, limit: int) -> Repeats:
    """Return up to `limit` items bought before, by the aged count of orders.

    An item bought more recently than 0.4 of its usual interval comes last, since it is not due; what was
    returned or disliked on balance is left out. The interval is (last − first order) / (orders − 1).
    """
    rows = history.item_rows
    keep = (history.orders > 0) & history.liked & shelf.open[rows]
    entries = np.flatnonzero(keep)
    orders, last = history.orders[entries], history.last_at[entries]
    span = (last - history.first_at[entries]) / DAY
    known = (orders > 1) & (span >= 1)
    interval = np.where(known, span / np.maximum(orders - 1, 1), np.nan)
    since = (now - last) / DAY
    early = np.where(known, since < EARLY * np.nan_to_num(interval), since < 1.0)
    scores = history.repeats[entries] * np.where(early, 0.01, 1.0)
    order = np.lexsort((rows[entries], -scores))[:limit]
    return Repeats(rows[entries][order], scores[order], last[order], interval[order], orders[order])
