"""What may be shown at a moment: active, in stock, within its dates, and not delicate where strangers look."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array


@dataclass(frozen=True)
class Shelf:
    """What may be shown, for the n items of one model at one moment.

    open: (n,) bool, may be shown at all. sensitive: (n,) bool. until: epoch seconds at which a start or end
    date makes this shelf stale; infinity when none is ahead.
    """

    open: Array
    sensitive: Array
    until: float

    @functools.cached_property
    def public(self) -> Array:
        """(n,) bool: may be shown to somebody of whom we know nothing."""
        return self.open & ~self.sensitive


@dataclass(frozen=True, slots=True)
class Availability:
    """The catalogue's word on each item, as parallel arrays.

    active: (n,) bool. stock: (n,) float64, infinity for unlimited. opens_at, closes_at: (n,) float64 epoch
    seconds, −inf and inf where open-ended. sensitive: (n,) bool. An item missing from the catalogue is inactive.
    """

    active: Array
    stock: Array
    opens_at: Array
    closes_at: Array
    sensitive: Array


def closed(facts: Availability, now: float, karma: Array) -> dict[str, Array]:
    """Return for each ground on which an item may not be shown at `now` (epoch seconds) the items it holds for,
    (n,) bool. The closing moment itself is already closed.

    Args:
        karma: (n,) float32, the model's; what has none left is in no list.
    """
    return {
        "inactive": ~facts.active, "not_yet_available": facts.opens_at > now,
        "no_longer_available": facts.closes_at <= now, "out_of_stock": facts.stock <= 0, "bad_outcomes": karma <= 0,
    }  # fmt: skip


def shelf(facts: Availability, now: float, karma: Array) -> Shelf:
    """Return what may be shown at `now` (epoch seconds); the arguments as in `closed`."""
    shut = np.logical_or.reduce(list(closed(facts, now, karma).values()))
    ahead = np.concatenate([facts.opens_at[facts.opens_at > now], facts.closes_at[facts.closes_at > now]])
    return Shelf(~shut, facts.sensitive, float(ahead.min()) if len(ahead) else float("inf"))
