"""The hold-out: the newest visits of each customer, taken out of the log to choose the blend and train the ranker on.

What the last visits of all customers bought is asked of a model that has not seen them. With few customers several
visits each are held back, so that the ranker has enough to learn from: measured on next baskets of The Complete
Journey (simulated; 2,317 customers), four visits instead of one raise NDCG@10 from 0.151 to 0.154; on Ta-Feng (13,858
customers) two instead of one change nothing.

Where hardly anybody has two visits that can be told apart (no dates, no orders), a random part of each customer's
items is held back instead; what such a hold-out says of time is nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array
from recsvc.engine.history import visits_of
from training.config import Holdout as Settings
from training.sources import Log

_LEAST_ITEMS = 5


@dataclass(frozen=True, slots=True)
class Fold:
    """One question to each of some customers. before: what they had done. pairs: (t, 2) codes of customer and item,
    distinct, sorted: what they then bought."""

    before: Log
    pairs: Array


@dataclass(frozen=True, slots=True)
class Held:
    """before: the log without everything that is held back. folds: the questions. by_time: false for a random
    hold-out. repeats: whether anybody bought again what they had; if nobody does, own items are not proposed."""

    before: Log
    folds: list[Fold]
    by_time: bool
    repeats: bool


def hold_out(log: Log, settings: Settings, least: int, seed: int) -> Held | None:
    """Return a log in two parts, or None when fewer than `least` customers could be asked.

    Args:
        least: customers; a hold-out by time needs as many with two visits, or a random one is made.
        seed: of the choice of customers, when there are more than `settings.customers`, and of a random hold-out.
    """
    rng = np.random.default_rng(seed)
    bought = log.events.purchases & (log.customers >= 0)
    where = np.flatnonzero(bought)
    if not len(where):
        return None
    customers, items = log.customers[where], log.events.item_rows[where]
    repeats = _repeats(customers, items, log.events.at[where])
    _, since = visits_of(customers, log.events.at[where])
    several = np.unique(customers[since > 0])
    if len(several) >= least and len(several) * 100 >= len(np.unique(customers)):
        chosen = _sample(several, settings.customers, rng)
        return Held(*_by_time(log, where, since, chosen, settings), True, repeats)
    distinct = log.pairs(where)
    asked, counts = np.unique(distinct[:, 0], return_counts=True)
    asked = asked[counts >= _LEAST_ITEMS]
    if len(asked) < least:
        return None
    chosen = _sample(asked, settings.customers, rng)
    return Held(*_by_chance(log, distinct, chosen, settings.share, rng), False, repeats)


def _by_time(log: Log, where: Array, since: Array, chosen: Array, settings: Settings) -> tuple[Log, list[Fold]]:
    customers, at = log.customers[where], log.events.at[where]
    folds = min(max(round(settings.customers / max(len(chosen), 1)), 1), settings.visits)
    size = int(log.customers.max()) + 1
    # cuts[j, customer]: when the customer's (j + 1)th newest visit began; the oldest visit is never held back.
    cuts = np.full((folds, size), np.iinfo(np.int64).max)
    oldest = np.zeros(size, np.int64)
    np.maximum.at(oldest, customers, since)
    asked = np.zeros(size, bool)
    asked[chosen] = True
    for j in range(folds):
        mine = (since == j) & asked[customers] & (oldest[customers] > j)
        cuts[j, customers[mine]] = at[mine]
    named = log.customers >= 0
    who = np.maximum(log.customers, 0)
    parts = []
    for j in range(folds):
        known = cuts[j][who] < np.iinfo(np.int64).max
        truth = where[(since == j) & (cuts[j][customers] < np.iinfo(np.int64).max)]
        before = log.part(named & known & (log.events.at < cuts[j][who]))
        if len(truth):  # of the fourth newest visit nobody may be asked
            parts.append(Fold(before, log.pairs(truth)))
    kept = ~named | (log.events.at < cuts.min(axis=0)[who])
    return log.part(kept), parts


def _by_chance(
    log: Log, distinct: Array, chosen: Array, share: float, rng: np.random.Generator
) -> tuple[Log, list[Fold]]:
    asked = np.isin(distinct[:, 0], chosen)
    held = distinct[asked & (rng.random(len(distinct)) < share)]
    width = int(log.events.item_rows.max()) + 1
    key = log.customers.astype(np.int64) * width + log.events.item_rows
    out = np.isin(key, held[:, 0].astype(np.int64) * width + held[:, 1])
    before = log.part(~out)
    return before, [Fold(before.part(np.isin(before.customers, held[:, 0])), held)]


def _repeats(customers: Array, items: Array, at: Array) -> bool:
    """Whether anybody bought an item at two moments."""
    pairs = customers.astype(np.int64) << 32 | items.astype(np.int64)
    order = np.lexsort((at, pairs))
    pairs, at = pairs[order], at[order]
    return bool(((pairs[1:] == pairs[:-1]) & (at[1:] != at[:-1])).any())


def _sample(customers: Array, most: int, rng: np.random.Generator) -> Array:
    return customers if len(customers) <= most else np.sort(rng.choice(customers, most, replace=False))
