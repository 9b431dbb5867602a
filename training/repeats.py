"""Repeats: how often customers come, how long an item lasts, and how its chance moves from one order to the next.

The table of hazards is fitted on the newest days of the log: what had been bought before them, and whether it was
bought in them. Against everybody's usual rate a cell of it says more or less; where few were in it, what is usual
elsewhere stands (`engine.timing.USUAL`, weighing as much as ten purchases).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln

from recsvc.artifact import Array
from recsvc.engine import candidates, repeat, timing
from recsvc.engine.history import DAY, ENTRIES, History
from recsvc.engine.model import Model
from recsvc.engine.timing import Timing, Visits
from training import matrix as matrices
from training.cases import DISCOUNTS, IDEALS, K
from training.config import Config
from training.matrix import Matrix
from training.sources import Log

DAYS: Final = repeat.WITHIN_DAYS
_BINS: Final = 10
_POWERS: Final = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
# Pairs of customer and item: of more those of some customers; enough for 180 cells, and seconds instead of minutes.
_PAIRS: Final = 300_000
_MEASURED: Final = 1_000_000
_CUSTOMERS: Final = 20_000
_LEAST_CUSTOMERS: Final = 20
_PRIOR_BUYS, _PRIOR_GAPS, _ITERATIONS = 10.0, 10.0, 40


def learnt(log: Log, matrix: Matrix, config: Config) -> dict[str, Array]:
    """Return the arrays of `engine.timing.ARRAYS` for a matrix that was built of a log."""
    visits = visit_model(_visits(matrix), matrix.decay.as_of, config.seed)
    group = None if log.content is None else log.content.group[matrix.item_codes]
    intervals, evenness = _intervals(matrix, group), _evenness(log, matrix, group)
    hazards = timing.usual(0).hazards
    known = Timing(np.append(visits, (1.0, 1.0)), intervals, evenness, hazards)
    known = _fitted(log, matrix, known, group, config)
    return {name: getattr(known, field) for name, field in zip(timing.ARRAYS, Timing.__slots__, strict=True)}


def visit_model(visits: Visits, now: float, seed: int) -> Array:
    """Return (4,) float64 r, alpha, a and b of the MBG/NBD model, by maximum likelihood; what is usual where fewer
    than twenty customers came twice.

    Source:
        Batislam, Denizel & Filiztekin 2007, https://doi.org/10.1016/j.ijresmar.2006.12.005, its likelihood
    """
    usual = timing.usual(0).visits[:4]
    some = np.flatnonzero(visits.orders > 0)
    if np.count_nonzero(visits.orders > 1) < _LEAST_CUSTOMERS:
        return usual
    if len(some) > _CUSTOMERS:
        some = np.random.default_rng(seed).choice(some, _CUSTOMERS, replace=False)
    x = visits.orders[some] - 1.0
    active = (visits.last_at[some] - visits.first_at[some]) / DAY
    known = np.maximum((now - visits.first_at[some]) / DAY, active)

    def loss(logs: Array) -> float:
        """Return the mean negative log-likelihood."""
        r, alpha, a, b = np.exp(logs)
        whole = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
        stays = gammaln(a + b) + gammaln(b + x + 1) - gammaln(b) - gammaln(a + b + x + 1)
        still = -(r + x) * np.log(alpha + known)
        gone = np.log(a) - np.log(b + x) - (r + x) * np.log(alpha + active)
        return -float(np.mean(whole + stays + np.logaddexp(still, gone)))

    start = np.log([1.0, max(float(np.mean(known / np.maximum(x, 1.0))), 1.0), 1.0, 5.0])
    found = minimize(loss, start, method="L-BFGS-B", bounds=[(-7.0, 9.0)] * 4)
    return np.exp(found.x) if np.isfinite(found.fun) else usual


def measured(model: Model, matrix: Matrix, config: Config, later: Log, now: float) -> dict[str, Any]:
    """Return what buying again is worth on the 14 days after the histories.

    calibration: how often what customers had was bought beside `p_due`, in ten bins of as many pairs each, by rising
    chance. again: NDCG@10 and recall@10 of what each customer had, by `p_due`, by `candidates.rate` and by the aged
    count of orders, over the `customers` who bought any of it.

    Args:
        matrix: the histories up to `now`, epoch seconds.
        later: what came after.
    """
    where, rates, often = _sample(model.timing, matrix, _rates(model), config, _MEASURED)
    if not len(where):
        return {"calibration": [], "again": {}}
    part = _part(matrix.history, where)
    chance = repeat.p_due(model.timing, part, rates, often, now, DAYS)
    came = _bought(matrix, where, later.between(now, now + DAYS * DAY))
    who = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.offsets))[where]
    orders = {"p_due": chance, "rate": rates, "aged count": part.repeats}
    bins = [
        {"predicted": float(chance[some].mean()), "observed": float(came[some].mean()), "pairs": len(some)}
        for some in np.array_split(np.argsort(chance, kind="stable"), _BINS)
        if len(some)
    ]
    again = {name: _listed(scores, who, came) for name, scores in orders.items()} if came.any() else {}
    return {"calibration": bins, "again": again}


def _listed(scores: Array, who: Array, came: Array) -> dict[str, float]:
    """Return NDCG@10 and recall@10 of the lists of customers, `who` ascending, over those to whom anything came."""
    order = np.lexsort((-scores, who))
    place = np.arange(len(order)) - np.searchsorted(who, who)
    hits = came[order] & (place < K)
    size = int(who.max()) + 1
    truth, found = np.bincount(who[came], minlength=size), np.bincount(who[hits], minlength=size)
    gains = np.bincount(who[hits], DISCOUNTS[place[hits]], size)
    asked = truth > 0
    ndcg, recall = gains[asked] / IDEALS[np.minimum(truth[asked], K)], found[asked] / truth[asked]
    return {f"ndcg@{K}": float(ndcg.mean()), f"recall@{K}": float(recall.mean()), "customers": int(asked.sum())}


def _sample(known: Timing, matrix: Matrix, everybodys: Array, config: Config, most: int) -> tuple[Array, Array, Array]:
    """Return places in the histories of what was bought and is liked, all or a sample, and for each the rate and the
    visits a day. everybodys: (n,) the rate at which all customers buy each item again. most: of how many."""
    h, prior = matrix.history, config.history.prior_visits
    where = np.flatnonzero((h.orders > 0) & h.liked & ~h.sent_back)
    if not len(where):
        return where, np.empty(0), np.empty(0)
    who = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.offsets))
    if len(where) > most:
        people = np.random.default_rng(config.seed).permutation(matrix.shape[0])
        some = people[np.cumsum(np.bincount(who[where], minlength=matrix.shape[0])[people]) <= most]
        where = where[np.isin(who[where], some)]
    rates = candidates.expected(h, matrices.visits(matrix), everybodys[h.item_rows], matrix.decay.visit_decay, prior)
    return where, rates[where], timing.per_day(known, _visits(matrix), matrix.decay.as_of)[who[where]]


def _rates(model: Model) -> Array:
    return np.asarray(model.a["item_traits"][:, candidates.REPEAT_RATE])


def _fitted(log: Log, matrix: Matrix, known: Timing, group: Array | None, config: Config) -> Timing:
    """Return what is known with the table of hazards and the pace, fitted on the newest days; as it is without enough
    of them."""
    cut = matrix.decay.as_of - DAYS * DAY
    before = log.between(0, cut)
    if not (before.events.purchases & (before.customers >= 0)).any():
        return replace(known, visits=np.append(known.visits[:4], timing.usual(0).visits[4:]))
    past = matrices.histories(before, replace(matrix, decay=replace(matrix.decay, as_of=cut)))
    rate = matrices.traits(past, group)[:, candidates.REPEAT_RATE]
    where, rates, often = _sample(known, past, rate, config, _PAIRS)
    part, came = _part(past.history, where), _bought(past, where, log.between(cut, matrix.decay.as_of + 1.0))
    since = np.maximum(cut - part.last_at, 0.0) / DAY
    days = timing.exposure(since, repeat.interval_days(known, part), DAYS)
    mean = max(float(np.mean(often)), 1e-6) if len(often) else 1.0 / 30.0
    best, highest = known, -np.inf
    for power in _POWERS:
        trial = replace(known, visits=np.append(known.visits[:4], (power, mean)))
        base = rates * timing.pace(trial, often)
        hazards, value = _hazards(base, days, repeat.cells(known, part), came)
        if value > highest:
            best, highest = replace(trial, hazards=hazards), value
    return best


def _bought(matrix: Matrix, where: Array, later: Log) -> Array:
    """Return (m,) bool: which entries of the histories were bought in a later part of the log."""
    pairs = later.pairs(later.events.purchases & (later.customers >= 0))
    return np.isin(_keys(matrix)[where], pairs[:, 0].astype(np.int64) << 32 | pairs[:, 1])


def _hazards(base: Array, days: Array, cells: tuple[Array, Array], came: Array) -> tuple[Array, float]:
    """Return the table that makes it likeliest what came and what did not, and the mean logarithm of that likelihood.

    Expectation-maximization for a sum of Poisson counts of which only is seen whether there was any.

    Args:
        base: (m,) purchases a day that are expected where the table says 1.
        days: (m, CELLS) from `timing.exposure`.
        came: (m,) bool.
    """
    table = timing.usual(0).hazards.astype(np.float64)
    prior = table.reshape(-1) * _PRIOR_BUYS
    row, cell = np.nonzero(days)
    at = (cells[0][row].astype(np.int64) * timing.SEEN + cells[1][row]) * timing.CELLS + cell
    weight = base[row] * days[row, cell]
    exposed = np.bincount(at, weight, table.size)
    found = table.reshape(-1).copy()
    seen = came[row]
    for _ in range(_ITERATIONS):
        parts = found[at] * weight
        total = np.maximum(np.bincount(row, parts, len(base)), 1e-12)
        given = np.bincount(at[seen], (parts / -np.expm1(-total[row]))[seen], table.size)
        found = (given + prior) / (exposed + _PRIOR_BUYS)
    total = np.maximum(np.bincount(row, found[at] * weight, len(base)), 1e-12)
    value = float(np.where(came, np.log(-np.expm1(-total)), -total).mean()) if len(base) else 0.0
    return found.reshape(table.shape).astype(np.float32), value


def _intervals(matrix: Matrix, group: Array | None) -> Array:
    """Return (n,) float32: mean days between two orders of each item by one customer, shrunk by ten intervals to that
    of its group, and that to the shop's."""
    h, n = matrix.history, matrix.shape[1]
    seen = np.where(h.orders > 0, repeat.intervals_seen(h), 0)
    days = np.bincount(h.item_rows, np.where(seen > 0, (h.last_at - h.first_at) / DAY, 0.0), n)
    count = np.bincount(h.item_rows, seen, n)
    usual = float(timing.usual(1).intervals[0])
    return _shrunk(days, count, usual if not count.sum() else None, group).astype(np.float32).clip(0.04, None)


def _evenness(log: Log, matrix: Matrix, group: Array | None) -> Array:
    """Return (n,) uint8: which of `timing.EVENNESS` the coefficient of variation of each item's intervals falls under,
    each interval measured against its customer's mean for the item; shrunk as `_intervals`."""
    bought = np.flatnonzero(log.events.purchases & (log.customers >= 0))
    who, at = log.customers[bought].astype(np.int64), log.events.at[bought]
    items = np.searchsorted(matrix.item_codes, log.events.item_rows[bought])
    order = np.lexsort((at, items, who))
    pair, at = (who << 32 | items)[order], at[order] / DAY
    gap, same = np.diff(at), pair[1:] == pair[:-1]
    gap, pair = gap[same & (gap > 0)], pair[1:][same & (gap > 0)]
    _, inverse, count = np.unique(pair, return_inverse=True, return_counts=True)
    mean = np.bincount(inverse, gap, len(count)) / np.maximum(count, 1)
    several = count[inverse] > 1
    rows, n = (pair & 0xFFFFFFFF)[several], matrix.shape[1]
    off = (gap / mean[inverse] - 1.0)[several] ** 2
    # One degree of freedom of each customer went into the mean.
    free = ((count[inverse] - 1.0) / count[inverse])[several]
    squares, freedom = np.bincount(rows, off, n), np.bincount(rows, free, n)
    variation = np.sqrt(_shrunk(squares, freedom, 0.25 if not freedom.sum() else None, group))
    return np.searchsorted(timing.EVENNESS, variation).astype(np.uint8)


def _shrunk(sums: Array, counts: Array, usual: float | None, group: Array | None) -> Array:
    """Return (n,) float64 sums / counts, shrunk to the group's, and that to everybody's or `usual`."""
    prior = np.full(len(sums), usual if usual is not None else sums.sum() / counts.sum())
    if group is not None:
        grouped = np.flatnonzero(group >= 0)
        of = group[grouped]
        whole, count = np.bincount(of, sums[grouped]), np.bincount(of, counts[grouped])
        prior[grouped] = (whole[of] + _PRIOR_GAPS * prior[grouped]) / (count[of] + _PRIOR_GAPS)
    return np.asarray((sums + _PRIOR_GAPS * prior) / (counts + _PRIOR_GAPS))


def _visits(matrix: Matrix) -> Visits:
    h, starts = matrix.history, matrix.offsets[:-1]
    if not len(h):
        return Visits(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    first = np.minimum.reduceat(np.where(h.orders > 0, h.first_at, np.iinfo(np.int64).max), starts)
    orders = np.maximum.reduceat(h.last_visit, starts) + 1
    last = np.maximum.reduceat(h.last_at, starts)
    return Visits(orders, np.where(orders > 0, first, 0).astype(np.float64), last.astype(np.float64))


def _keys(matrix: Matrix) -> Array:
    customers = np.repeat(matrix.customer_codes, np.diff(matrix.offsets)).astype(np.int64)
    return customers << 32 | matrix.item_codes[matrix.history.item_rows]


def _part(history: History, where: Array) -> History:
    return History(*(getattr(history, name)[where] for name in ENTRIES))
