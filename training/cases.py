"""Cases: customers asked through the engine that serves, what they bought later ranked among all items.

Bought items are not masked: where people buy again what they bought before, masking hides most of the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import BLENDED, Generator
from recsvc.engine import karma, ranking
from recsvc.engine.features import features
from recsvc.engine.history import History
from recsvc.engine.model import FEATURES, Model
from training import parallel
from training.fit import BLOCK
from training.matrix import Matrix

K = 10
_COUNT, _POPULARITY = FEATURES.index("count"), FEATURES.index("popularity")
DISCOUNTS = 1.0 / np.log2(np.arange(2, K + 2))
IDEALS = np.concatenate([[1.0], np.cumsum(DISCOUNTS)])


def _nothing() -> Array:
    return np.empty((0, 2), np.int64)


@dataclass(frozen=True, slots=True)
class Scores:
    """Per customer, (cases,) float64: NDCG@10 (ideal over min(bought, 10) positions), and the same among items never
    bought before, NaN for those who bought none."""

    ndcg: Array
    ndcg_new: Array


@dataclass(frozen=True, slots=True)
class Truth:
    """What happened later, each (t, 2) codes of customer and item, distinct, sorted by customer. bought: in the whole
    time. following: in the customer's first visit of it. regretted: what `concepts.regrets`; of customers who bought
    nothing it is not asked."""

    bought: Array
    following: Array = field(default_factory=_nothing)
    regretted: Array = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Case:
    """One customer to measure on, over c candidates in ascending order of row, so that ties go as in serving.

    customer: code in the log. rows: (c,) int32, the candidates. said, heard: (generators, c) float32, see `ranking`.
    table: (c, f) float32, what the ranker sees. hits: (c,) bool, bought later. following: (c,) bool, bought in the
    first visit of it. bought: (c,) bool, bought before. regretted: (c,) bool, later. karma: (c,) float32, see `Model`.
    truth: how many items were bought later, truth_new: how many of them never before, truth_following: in the first
    visit. truth_rows: (t,) int64, rows of those that the model knows.
    """

    customer: int
    rows: Array
    said: Array
    heard: Array
    table: Array
    hits: Array
    following: Array
    bought: Array
    regretted: Array
    karma: Array
    truth: int
    truth_new: int
    truth_following: int
    truth_rows: Array


@dataclass(frozen=True, slots=True)
class _Later:
    bought: Array
    following: Array
    regretted: Array


def ask(
    model: Model,
    matrix: Matrix,
    truth: Truth,
    progress: Callable[[int, int], None],
    masked: bool = False,
    threads: int = 1,
) -> list[Case]:
    """Return one case per customer with a history who bought something later, by customer code.

    Candidates are those of serving.

    Args:
        matrix: the histories, in the item rows of the model.
        masked: own items are not proposed.
        threads: processes; 0 means one for each core.
    """
    customers = np.intersect1d(truth.bought[:, 0], matrix.customer_codes)
    rows = np.searchsorted(matrix.customer_codes, customers)
    parts = [_by_customer(pairs, customers) for pairs in (truth.bought, truth.following, truth.regretted)]

    def asked(block: int) -> list[Case]:
        """Return the cases of one block of customers."""
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        histories = [matrix.of(int(row)) for row in rows[part]]
        return [
            _case(model, int(customer), history, proposed, matrix, later, masked)
            for customer, history, proposed, later in zip(
                customers[part], histories, ranking.propose(model, histories),
                map(_Later, *(one[part] for one in parts)), strict=True,
            )
        ]  # fmt: skip

    found: list[Case] = []
    for cases_of_block in parallel.in_blocks(asked, -(-len(customers) // BLOCK), threads):
        found += cases_of_block
        progress(len(found), len(customers))
    return found


def _by_customer(pairs: Array, customers: Array) -> list[Array]:
    """Return the item codes of each of some customers."""
    starts, ends = (np.searchsorted(pairs[:, 0], customers, side) for side in ("left", "right"))
    return [pairs[start:end, 1] for start, end in zip(starts, ends, strict=True)]


def _case(
    model: Model,
    customer: int,
    history: History,
    proposed: ranking.Proposed,
    matrix: Matrix,
    later: _Later,
    masked: bool,
) -> Case:
    allowed = model.a["karma"] > 0
    allowed[history.item_rows[history.unwanted]] = False
    if masked:
        allowed[history.item_rows] = False
    rows = ranking.shortlist(model, history, proposed, allowed)
    at, following = _rows(matrix, later.bought), _rows(matrix, later.following)
    before = history.item_rows[history.orders > 0]
    return Case(
        customer, rows.astype(np.int32),
        ranking.said(model, history, proposed, rows), ranking.heard(history, rows),
        features(model, history, rows, proposed.collaborative[rows], proposed.neighbours[rows]),
        np.isin(rows, at), np.isin(rows, following), np.isin(rows, before),
        np.isin(rows, _rows(matrix, later.regretted)), model.a["karma"][rows],
        len(later.bought), len(later.bought) - int(np.isin(at, before).sum()), len(later.following), at,
    )  # fmt: skip


def _rows(matrix: Matrix, codes: Array) -> Array:
    """Return the item rows of codes, without those that the matrix does not know."""
    at = np.searchsorted(matrix.item_codes, codes)
    return np.asarray(at[matrix.item_codes[np.minimum(at, len(matrix.item_codes) - 1)] == codes])


Scorer = Callable[[Case], Array]


def by_blend(blend: Array) -> Scorer:
    """Return what scores a case by a blend. A blend of one generator alone is that generator as it is."""
    if int(np.count_nonzero(blend)) == 1:
        return lambda case: np.asarray(blend @ case.said)
    return lambda case: karma.applied((case.said * case.heard * blend[:, None]).sum(axis=0), case.karma)


def score(cases: list[Case], scorer: Scorer) -> Scores:
    """Return how well a scorer orders the candidates of each case."""
    values = []
    for case in cases:
        total = scorer(case)
        ndcg_new = np.nan
        if case.truth_new:
            ndcg_new = ndcg(case.hits[top(np.where(case.bought, -np.inf, total))], case.truth_new)
        values.append((ndcg(case.hits[top(total)], case.truth), ndcg_new))
    return Scores(*np.array(values).reshape(-1, 2).T)


def top(total: Array) -> Array:
    """Return the places of the best ten, best first."""
    return ranking.top_k(total, K)


def ndcg(hits: Array, truth: int) -> float:
    """Return NDCG@10 of a list. `hits`: (l,) bool, l <= 10. `truth`: how many there were to find, >= 1."""
    return float((hits * DISCOUNTS[: len(hits)]).sum() / IDEALS[min(truth, K)])


def worth(found: Scores) -> float:
    """Return what an order is chosen by: mean NDCG@10 of all items plus that of never-bought ones; no cases: 0."""
    new = found.ndcg_new[~np.isnan(found.ndcg_new)]
    return float((found.ndcg.mean() if len(found.ndcg) else 0.0) + (new.mean() if len(new) else 0.0))


def choose_blend(cases: list[Case], start: Array, progress: Callable[[], None]) -> Array:
    """Return the blend with the best mean NDCG@10 on `cases`, all items and never-bought items counting alike.

    Counting all items only would reward a blend that proposes nothing new to those who always buy the same.
    Coordinate search from `start`: each weight in turn is multiplied by a few factors or put to nought. The
    repeat weight is the unit and stays. Cheap and deterministic.
    """
    best, top = start.copy(), worth(score(cases, by_blend(start)))
    for factors in ((0.0, 0.25, 0.5, 2.0, 4.0), (0.5, 2.0), (0.7, 1.4)):
        for position in range(len(best)):
            if BLENDED[position] is Generator.REPEAT:
                continue
            base = best[position] or start[position]
            for factor in factors:
                trial = best.copy()
                trial[position] = base * factor
                value = worth(score(cases, by_blend(trial)))
                if value > top:
                    best, top = trial, value
            progress()
    return best


def alone() -> dict[str, Scorer]:
    """Return a scorer for each generator by itself."""
    return {name.value: by_blend(np.eye(len(BLENDED), dtype=np.float32)[i]) for i, name in enumerate(BLENDED)}


def by_frequency() -> Scorer:
    """Return what orders by how often the customer bought an item, ties by popularity: what a shop can do alone."""
    return lambda case: case.table[:, _COUNT] + _share(case.table[:, _POPULARITY])


def _share(values: Array) -> Array:
    """Return each value as a part of one less than 1, in the same order."""
    low = values.min(initial=0.0)
    return np.asarray((values - low) / (values.max(initial=0.0) - low + 1.0))
