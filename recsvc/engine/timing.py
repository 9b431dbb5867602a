"""Timing: when a customer orders next, whether they still do, and how an item's time comes.

Visits follow the MBG/NBD model: a customer orders at a rate of their own (Gamma over customers) until they stop, which
may happen after every order, the first too, with a chance of their own (Beta over customers). Its four parameters are
fitted in training; the rest is closed-form in three numbers of a customer: orders, first and last.

An item's time comes by its interval: of the days since the last order, in parts of the interval, a table fitted in
training says how the chance to buy it stands to the customer's usual rate for it; see `repeat`.

Source:
    Batislam, Denizel & Filiztekin 2007, https://doi.org/10.1016/j.ijresmar.2006.12.005; before it Fader, Hardie & Lee
    2005, BG/NBD, https://doi.org/10.1287/mksc.1040.0098, in which who ordered once can never have stopped
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from recsvc.artifact import Array
from recsvc.engine.history import DAY, History
from recsvc.errors import ArtifactInvalid

# Days since the last order in parts of the interval: where one cell of the table ends and the next begins.
EDGES: Final = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0])
CELLS: Final = len(EDGES) + 1
# How evenly an item is bought again: coefficient of variation of its intervals up to the first, the second, above.
EVENNESS: Final = (0.35, 0.7)
# Intervals of the customer that were seen: none, one, two, more.
SEEN: Final = 4
# What the table says where nothing was fitted: quiet before its time, the more so the more even the intervals are.
USUAL: Final = np.stack([
    np.array([0.02] * 5 + [0.2, 1.0, 2.0, 2.0, 1.5] + [1.0] * 5),
    np.array([0.1, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.4, 1.4, 1.2] + [1.0] * 5),
    np.array([0.5, 0.7, 0.9] + [1.0] * 12),
])  # fmt: skip
# name → number of dimensions. An artifact of before they were there has none of them: then `usual` stands.
ARRAYS: Final = {"visit_model": 1, "item_intervals": 1, "item_evenness": 1, "repeat_hazards": 3}
_MONTH: Final = 30.0
_CHANNEL_HALF_LIFE_DAYS: Final = 90.0


@dataclass(frozen=True, slots=True)
class Timing:
    """What training found out about time, for the n items of one model.

    visits: (6,) float64, > 0: r, alpha (days), a and b of the MBG/NBD model; power and mean of `pace`.
    intervals: (n,) float32 days, > 0, usual between two orders of an item by one customer.
    evenness: (n,) uint8, 0 to 2, which of `EVENNESS` it falls under.
    hazards: (3, SEEN, CELLS) float32, >= 0, what a customer's rate for an item is multiplied by.
    """

    visits: Array
    intervals: Array
    evenness: Array
    hazards: Array


@dataclass(frozen=True, slots=True)
class Visits:
    """Customers' orders. orders: (c,) how many, first_at, last_at: (c,) epoch seconds; 0 orders have no times."""

    orders: Array
    first_at: Array
    last_at: Array


def of_arrays(arrays: Mapping[str, Array], n: int) -> Timing:
    """Return the timing in a model's arrays for its n items; `usual` where they hold none.

    Raises:
        ArtifactInvalid: an array is missing beside others, or does not fit.
    """
    if not any(name in arrays for name in ARRAYS):
        return usual(n)
    shapes = ((6,), (n,), (n,), (len(USUAL), SEEN, CELLS))
    for name, shape in zip(ARRAYS, shapes, strict=True):
        if name not in arrays or arrays[name].shape != shape:
            raise ArtifactInvalid(f"{name} is missing or not of shape {shape}")
    found = Timing(*(np.asarray(arrays[name]) for name in ARRAYS))
    if (found.visits <= 0).any() or (found.intervals <= 0).any() or (found.hazards < 0).any():
        raise ArtifactInvalid("visit_model and item_intervals must be above 0, repeat_hazards not below")
    if n and int(found.evenness.max()) >= len(USUAL):
        raise ArtifactInvalid(f"item_evenness holds {int(found.evenness.max())}, {len(USUAL) - 1} is the highest")
    return found


def usual(n: int) -> Timing:
    """Return what is assumed where nothing was fitted: a month between orders, few who stop."""
    visits = np.array([1.0, _MONTH, 1.0, 20.0, 1.0, 1.0 / _MONTH])
    hazards = np.repeat(USUAL[:, None, :], SEEN, axis=1).astype(np.float32)
    return Timing(visits, np.full(n, _MONTH, np.float32), np.ones(n, np.uint8), hazards)


def visits_of(history: History) -> Visits:
    """Return one customer's orders, (1,)."""
    bought = history.orders > 0
    if not bought.any():
        return Visits(np.zeros(1, np.int64), np.zeros(1), np.zeros(1))
    first, last = float(history.first_at[bought].min()), float(history.last_at[bought].max())
    return Visits(np.array([history.visits]), np.array([first]), np.array([last]))


def alive(timing: Timing, visits: Visits, now: float) -> Array:
    """Return (c,) float64: the chance that each customer still orders here; NaN without an order.

    Source:
        Batislam, Denizel & Filiztekin 2007, P(alive) of the MBG/NBD model
    """
    r, alpha, a, b = timing.visits[:4]
    x, active, known = _recency(visits, now)
    gone = np.log(a / (b + x)) + (r + x) * (np.log(alpha + known) - np.log(alpha + active))
    return np.where(visits.orders > 0, 1.0 / (1.0 + np.exp(np.minimum(gone, 700.0))), np.nan)


def per_day(timing: Timing, visits: Visits, now: float) -> Array:
    """Return (c,) float64: the orders a day that are expected of each customer from now on; 0 without an order."""
    r, alpha = timing.visits[:2]
    x, _, known = _recency(visits, now)
    return np.asarray(np.nan_to_num(alive(timing, visits, now)) * (r + x) / (alpha + known))


def pace(timing: Timing, often: Array) -> Array:
    """Return `per_day` as an item's chance takes it, mean · (often / mean) ** power: who comes often buys less each
    time."""
    power, mean = timing.visits[4:]
    return np.asarray(mean * (often / mean) ** power)


def next_order(timing: Timing, visits: Visits, now: float) -> Array:
    """Return (c,) float64: epoch seconds of the next order of who still orders; NaN without an order.

    The last order and the customer's mean interval, shrunk to everybody's: (alpha + days from first to last) / (r +
    orders − 1). Where that is past, the model has no memory, and it is as long from now: (alpha + days from first to
    now) / (r + orders − 1).
    """
    r, alpha = timing.visits[:2]
    x, active, known = _recency(visits, now)
    usually = visits.last_at + (alpha + active) / (r + x) * DAY
    found = np.where(usually >= now, usually, now + (alpha + known) / (r + x) * DAY)
    return np.where(visits.orders > 0, found, np.nan)


def mean_interval(visits: Visits) -> Array:
    """Return (c,) float64: mean days between orders; NaN with fewer than two."""
    days = (visits.last_at - visits.first_at) / DAY
    return np.where(visits.orders > 1, days / np.maximum(visits.orders - 1, 1), np.nan)


def _recency(visits: Visits, now: float) -> tuple[Array, Array, Array]:
    """Return (c,) orders after the first, and days from the first to the last and to now."""
    active = np.maximum(visits.last_at - visits.first_at, 0.0) / DAY
    known = np.maximum((now - visits.first_at) / DAY, active)
    some = visits.orders > 0
    return np.maximum(visits.orders - 1, 0).astype(np.float64), np.where(some, active, 0.0), np.where(some, known, 0.0)


def exposure(since: Array, interval: Array, within_days: float) -> Array:
    """Return (m, CELLS) float64: how many of the next `within_days` days lie in each cell of the table.

    Args:
        since: (m,) days since the last order. interval: (m,) days, > 0.
    """
    edges = np.concatenate([[0.0], EDGES, [np.inf]])
    low = np.maximum(edges[:-1] * interval[:, None], since[:, None])
    high = np.minimum(edges[1:] * interval[:, None], since[:, None] + within_days)
    return np.asarray(np.maximum(high - low, 0.0))


def ranked(codes: Array, at: Array, now: float) -> Array:
    """Return the distinct codes of a customer's interactions, each counting half after 90 days; most first, ties to the
    lower code.

    Args:
        codes: (e,) int, of channels. at: (e,) epoch seconds.
    """
    counts = np.bincount(codes, np.exp2(-np.maximum(now - at, 0.0) / DAY / _CHANNEL_HALF_LIFE_DAYS))
    order = np.argsort(-counts, kind="stable")
    return np.asarray(order[counts[order] > 0])
