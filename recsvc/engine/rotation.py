"""Rotation: what a customer was shown a moment ago stands back for a while, so that lists change."""

from __future__ import annotations

import numpy as np

from recsvc.artifact import Array

# Of items that shall not come again within the time, those longest ago come first where there is nothing else.
_TIE = 1e-6


def penalty(n_items: int, rows: Array, ages_seconds: Array, rate: float, seconds: float) -> Array:
    """Return (n,) float32 in [0, 1]: the part of each item's relevance that is taken away.

    With a rate under 1 it is `rate` at the moment an item is shown and falls in a line to 0 over `seconds`. With a
    rate of 1 an item does not come again within that time, unless there are not enough others.

    Args:
        rows: (r,) item rows, each at most once.
        ages_seconds: (r,) how long ago each was shown last; below 0, as of clocks that differ, counts as 0.
        rate: 0 to 1; 0: nothing is taken away.
        seconds: > 0.
    """
    taken = np.zeros(n_items, np.float32)
    part = np.clip(np.asarray(ages_seconds, np.float64) / seconds, 0.0, 1.0)
    held = np.where(part < 1.0, 1.0 - _TIE * part, 0.0) if rate >= 1.0 else rate * (1.0 - part)
    taken[rows] = held
    return taken
