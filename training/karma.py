"""Item karma, counted: which orders of an item ended badly, in which way, and what is usual in its category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from recsvc.artifact import Array
from recsvc.engine import karma
from training.config import Karma
from training.matrix import Matrix, first_of_each
from training.sources import Log, Outcome

# One customer's word on one item, in orders: whoever orders it a hundred times and returns it each time is one
# customer with a quarrel. Twenty orders, from which on an item can be taken out of all lists, are at least five.
_EACH: Final = 4
# What a reason, subject or number of stars that the configuration does not name counts as.
_OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to end badly: kind return, complaint or review; its reason, subject or stars; what it weighs; whether it
    says that the item is defective."""

    kind: str
    reason: str
    weight: float
    defect: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """What n items came to. orders: (n,) float64. rows, ways, counts: (e,), by item row and way, orders that ended in
    that way."""

    orders: Array
    rows: Array
    ways: Array
    counts: Array

    def total(self, values: Array) -> Array:
        """Return (n,) float64: the counts times the value of each way, summed for each item. values: (ways,)."""
        return np.bincount(self.rows, self.counts * values[self.ways], len(self.orders))


def ways(settings: Karma) -> list[Way]:
    """Return the ways of a configuration, in its order."""
    reviews = {str(stars): weight for stars, weight in settings.reviews.items()}
    kinds = {"return": settings.returns, "complaint": settings.complaints, "review": reviews}
    return [
        Way(kind, reason, weight, weight > 0 and reason in settings.defects)
        for kind, weights in kinds.items()
        for reason, weight in weights.items()
    ]


def parameters(settings: Karma) -> dict[str, Any]:
    """Return what the engine needs to read the arrays."""
    limits = {name: getattr(settings, name) for name in karma.Limits.__slots__}
    outcomes = [{name: getattr(one, name) for name in Way.__slots__} for one in ways(settings)]
    return {**limits, "outcomes": outcomes}


def arrays(log: Log, matrix: Matrix, settings: Karma, group: Array | None) -> dict[str, Array]:
    """Return `karma`, what scores are multiplied by, and what it was made from: `engine.karma.ARRAYS`.

    Args:
        group: (n,) int, the category of each item, −1 for none; None: there are none.
    """
    found, told = counted(log, matrix, settings), ways(settings)
    group = np.full(len(found.orders), -1, np.int64) if group is None else group
    bad = found.total(np.array([one.weight for one in told] or [0.0]))
    defects = found.total(np.array([float(one.defect) for one in told] or [0.0]))
    m = settings.shrink
    usual, usual_defects = (karma.category_rates(one, found.orders, group, m) for one in (bad, defects))
    multipliers = karma.multipliers(
        karma.rates(bad, found.orders, usual, m), usual, karma.rates(defects, found.orders, usual_defects, m),
        found.orders, karma.limits(settings.model_dump()),
    )  # fmt: skip
    kept = {"orders": found.orders, "bad": bad, "defects": defects, "category_rates": usual,
            "category_defects": usual_defects, "counts": found.counts}  # fmt: skip
    return {
        "karma": multipliers, "karma_rows": found.rows.astype(np.int32), "karma_reasons": found.ways.astype(np.int16),
        **{f"karma_{name}": one.astype(np.float32) for name, one in kept.items()},
    }  # fmt: skip


def counted(log: Log, matrix: Matrix, settings: Karma) -> Counted:
    """Return how often each item was ordered and in which ways that ended.

    Bad ends never count for more than was ordered by the same customer, or, where no customer is named, in the same
    order: a return of what was never bought says nothing. Who returned an item, complained of it and gave it one star
    said one thing three times: of returns, complaints and reviews those count that weigh most.
    """
    e, n = log.events, matrix.shape[1]
    told = ways(settings)
    way = _ways_of(log, told)
    where = np.flatnonzero(e.purchases | (way >= 0))
    way = way[where]
    items = np.searchsorted(matrix.item_codes, e.item_rows[where])
    _, order = np.unique(e.orders[where], return_inverse=True)
    customers = log.customers[where].astype(np.int64)
    who = np.where(customers >= 0, customers, len(log.customer_ids) + order)
    # Lines of one order with the same item count once, as everywhere; complaints and reviews belong to no order.
    returns = np.array([one.kind == "return" for one in told] + [True])
    order = np.where(returns[way], order, 0)
    lines = first_of_each(who * n + items, way, order)
    pairs, inverse = np.unique((who * n + items)[lines], return_inverse=True)
    way = way[lines]
    bought = np.bincount(inverse, way < 0, len(pairs))
    word = np.minimum(bought, _EACH)
    ended = np.zeros((len(pairs), len(told)))
    np.add.at(ended, (inverse[way >= 0], way[way >= 0]), 1.0)
    ended = _limited(ended, bought, told) * (word / np.maximum(bought, 1.0))[:, None]
    some, which = np.nonzero(ended)
    cells, at = np.unique(pairs[some] % n * max(len(told), 1) + which, return_inverse=True)
    counts = np.bincount(at, ended[some, which], len(cells))
    orders = np.bincount(pairs % n, word, n)
    return Counted(orders, cells // max(len(told), 1), cells % max(len(told), 1), counts)


def _ways_of(log: Log, told: list[Way]) -> Array:
    """Return (e,) int64: the way in which each event says that it ended badly, −1 for none."""
    if log.outcomes is None:
        return np.full(len(log), -1, np.int64)
    place = {(one.kind, one.reason): n for n, one in enumerate(told)}
    found = [_place(one, place) for one in log.outcome_names]
    return np.array([*found, -1], np.int64)[log.outcomes]


def _place(outcome: Outcome, place: dict[Outcome, int]) -> int:
    return place.get(outcome, place.get((outcome[0], _OTHER), -1))


def _limited(ended: Array, bought: Array, told: list[Way]) -> Array:
    """Return (pairs, ways) float64 counts that weigh no more than what was bought, of one kind only."""
    weights = np.array([one.weight for one in told])
    kinds = np.array([one.kind for one in told])
    weighed = {kind: ended[:, kinds == kind] @ weights[kinds == kind] for kind in dict.fromkeys(kinds.tolist())}
    most = np.max([*weighed.values(), np.zeros(len(ended))], axis=0)
    out = np.minimum(ended, bought[:, None])
    spoken = np.zeros(len(ended), bool)
    for kind, heavy in weighed.items():
        counts = (kinds == kind) & (weights > 0)
        mine = (heavy >= most) & ~spoken
        spoken |= mine
        share = np.where(mine, np.minimum(1.0, bought / np.maximum(heavy, 1e-9)), 0.0)
        out[:, counts] = ended[:, counts] * share[:, None]
    return out
