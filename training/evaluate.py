"""Evaluation through the engine that serves: what was bought later, ranked among all items.

Bought items are not masked: where people buy again what they bought before, masking hides most of the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import BLENDED, Generator
from recsvc.engine import karma, ranking
from recsvc.engine.features import features
from recsvc.engine.history import History
from recsvc.engine.model import Model
from training import parallel
from training.fit import BLOCK
from training.matrix import Matrix

K = 10
NOTHING = np.empty((0, 2), np.int64)
_RESAMPLES = 1000
_DISCOUNTS = 1.0 / np.log2(np.arange(2, K + 2))
_IDEALS = np.concatenate([[1.0], np.cumsum(_DISCOUNTS)])


@dataclass(frozen=True, slots=True)
class Scores:
    """Per customer, (cases,) float64: recall@10 (of all that was bought), NDCG@10 (ideal over min(bought, 10)
    positions), NDCG@10 among items never bought before, NaN for those who bought none, and regret@10: the share of
    what is shown that the customer later returned, disliked or complained about."""

    recall: Array
    ndcg: Array
    ndcg_new: Array
    regret: Array


@dataclass(frozen=True, slots=True)
class Case:
    """One customer to measure on, over c candidates in ascending order of row, so that ties go as in serving.

    said, heard: (generators, c) float32, see `ranking`. table: (c, f) float32, what the ranker sees. hits: (c,) bool,
    bought later. bought: (c,) bool, bought before. regretted: (c,) bool, what `concepts.regrets`, later. karma: (c,)
    float32, see `Model`. truth: how many items were bought later; truth_new: how many of
    them never before.
    """

    said: Array
    heard: Array
    table: Array
    hits: Array
    bought: Array
    regretted: Array
    karma: Array
    truth: int
    truth_new: int


def cases(
    model: Model,
    matrix: Matrix,
    pairs: Array,
    progress: Callable[[int, int], None],
    masked: bool = False,
    regretted: Array = NOTHING,
    threads: int = 1,
) -> list[Case]:
    """Return one case per customer with a history who bought something later.

    Candidates are those of serving.

    Args:
        matrix: the histories, in the item rows of the model.
        pairs: (t, 2) codes of customer and item, distinct, sorted by customer: what was bought later.
        masked: own items are not proposed.
        regretted: (t, 2) as `pairs`: what was regretted later. Of customers who bought nothing later it is not asked.
        threads: processes; 0 means one for each core.
    """
    known = pairs[np.isin(pairs[:, 0], matrix.customer_codes)]
    customers, starts = np.unique(known[:, 0], return_index=True)
    truths = np.split(known[:, 1], starts[1:]) if len(customers) else []
    rows = np.searchsorted(matrix.customer_codes, customers)
    bounds = np.stack([np.searchsorted(regretted[:, 0], customers, side) for side in ("left", "right")], axis=1)

    def asked(block: int) -> list[Case]:
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        histories = [matrix.of(int(row)) for row in rows[part]]
        return [
            _case(model, history, proposed, matrix, codes, regretted[first:last, 1], masked)
            for history, proposed, codes, (first, last) in zip(
                histories, ranking.propose(model, histories), truths[part], bounds[part], strict=True
            )
        ]

    found: list[Case] = []
    for cases_of_block in parallel.in_blocks(asked, -(-len(customers) // BLOCK), threads):
        found += cases_of_block
        progress(len(found), len(customers))
    return found


def _case(
    model: Model,
    history: History,
    proposed: ranking.Proposed,
    matrix: Matrix,
    codes: Array,
    regretted: Array,
    masked: bool,
) -> Case:
    allowed = model.a["karma"] > 0
    allowed[history.item_rows[history.unwanted]] = False
    if masked:
        allowed[history.item_rows] = False
    rows = ranking.shortlist(model, history, proposed, allowed)
    at = _rows(matrix, codes)
    before = history.item_rows[history.orders > 0]
    return Case(
        ranking.said(model, history, proposed, rows), ranking.heard(history, rows),
        features(model, history, rows, proposed.collaborative[rows], proposed.neighbours[rows]),
        np.isin(rows, at), np.isin(rows, before), np.isin(rows, _rows(matrix, regretted)), model.a["karma"][rows],
        len(codes), len(codes) - int(np.isin(at, before).sum()),
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
        best = _top(total)
        hits, regret = case.hits[best], case.regretted[best].sum() / max(len(best), 1)
        ndcg_new = np.nan
        if case.truth_new:
            ndcg_new = _ndcg(case.hits[_top(np.where(case.bought, -np.inf, total))], case.truth_new)
        values.append((hits.sum() / case.truth, _ndcg(hits, case.truth), ndcg_new, regret))
    return Scores(*np.array(values).reshape(-1, 4).T)


def _top(total: Array) -> Array:
    return ranking.top_k(total, K)


def _ndcg(hits: Array, truth: int) -> float:
    return float((hits * _DISCOUNTS[: len(hits)]).sum() / _IDEALS[min(truth, K)])


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


def table(cases: list[Case], scorers: dict[str, Scorer], chosen: str, seed: int) -> dict[str, dict[str, float]]:
    """Return per scorer recall@10, ndcg@10 and ndcg_new@10 with 95 % bootstrap intervals over customers, and the
    paired lead in NDCG of the `chosen` one over it with its interval; regret@10 too where anything was regretted."""
    regrets = any(case.regretted.any() for case in cases)
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(cases), (_RESAMPLES, len(cases)))
    scores = {name: score(cases, scorer) for name, scorer in scorers.items()}
    results = {}
    for name, found in scores.items():
        results[name] = {
            **_interval("recall@10", found.recall, draws), **_interval("ndcg@10", found.ndcg, draws),
            **_interval("ndcg_new@10", found.ndcg_new, draws),
            **_interval("lead", scores[chosen].ndcg - found.ndcg, draws),
        }  # fmt: skip
        if regrets:
            results[name] |= _interval("regret@10", found.regret, draws)
    return results


def alone() -> dict[str, Scorer]:
    """Return a scorer for each generator by itself."""
    return {name.value: by_blend(np.eye(len(BLENDED), dtype=np.float32)[i]) for i, name in enumerate(BLENDED)}


def _interval(name: str, values: Array, draws: Array) -> dict[str, float]:
    """Return mean, low and high; customers for whom the value is not defined (NaN) do not count."""
    if np.isnan(values).all():
        return {name: 0.0, f"{name}_low": 0.0, f"{name}_high": 0.0}
    low, high = np.nanquantile(np.nanmean(values[draws], axis=1), [0.025, 0.975])
    return {name: float(np.nanmean(values)), f"{name}_low": float(low), f"{name}_high": float(high)}
