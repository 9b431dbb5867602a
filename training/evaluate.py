"""Evaluation on a time split, through the engine that serves: what was bought later, ranked among all items.

Bought items are not masked: where people buy again what they bought before, masking hides most of the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import BLENDED, Generator
from recsvc.engine import ranking
from recsvc.engine.history import History
from recsvc.engine.model import Model
from training.matrix import Matrix
from training.sources import Log

K = 10
_CANDIDATES = 150
_RESAMPLES = 1000
_DISCOUNTS = 1.0 / np.log2(np.arange(2, K + 2))
_IDEALS = np.concatenate([[1.0], np.cumsum(_DISCOUNTS)])


@dataclass(frozen=True, slots=True)
class Scores:
    """Per customer, (cases,) float64: recall@10 (of all that was bought), NDCG@10 (ideal over min(bought, 10)
    positions), and NDCG@10 among items never bought before, NaN for those who bought none."""

    recall: Array
    ndcg: Array
    ndcg_new: Array


@dataclass(frozen=True, slots=True)
class Case:
    """One customer to measure on, over c candidates in ascending order of row, so that ties go as in serving.

    parts: (generators, c) float32. hits: (c,) bool, bought later. bought: (c,) bool, bought before.
    truth: how many items were bought later; truth_new: how many of them never before.
    """

    parts: Array
    hits: Array
    bought: Array
    truth: int
    truth_new: int


def cases(model: Model, matrix: Matrix, later: Log, progress: Callable[[int, int], None]) -> list[Case]:
    """Return one case per customer with a history who bought something later.

    Candidates are the union of each generator's best 150 and everything the customer had before, which holds
    the whole top 10 of every generator and, short of a blend that favours what nobody favours, of the blend.
    """
    bought = later.events.purchases
    pairs = np.unique(np.stack([later.customers[bought], later.events.item_rows[bought]], axis=1), axis=0)
    known = np.flatnonzero(np.isin(pairs[:, 0], matrix.customer_codes))
    customers, starts = np.unique(pairs[known, 0], return_index=True)
    truths = np.split(pairs[known, 1], starts[1:]) if len(customers) else []
    found = []
    for done, (customer, codes) in enumerate(zip(customers, truths, strict=True), 1):
        history = matrix.of(int(np.searchsorted(matrix.customer_codes, customer)))
        found.append(_case(model, history, matrix, codes))
        progress(done, len(customers))
    return found


def _case(model: Model, history: History, matrix: Matrix, codes: Array) -> Case:
    parts = ranking.parts(model, history)
    best = [ranking.top_k(one, _CANDIDATES) for one in parts]
    rows = np.unique(np.concatenate([*best, history.item_rows]))
    at = np.searchsorted(matrix.item_codes, codes)
    at = at[matrix.item_codes[np.minimum(at, len(matrix.item_codes) - 1)] == codes]
    bought = np.isin(rows, history.item_rows[history.orders > 0])
    hits = np.isin(rows, at)
    return Case(parts[:, rows], hits, bought, len(codes), len(codes) - int((hits & bought).sum()))


def score(cases: list[Case], blend: Array) -> Scores:
    """Return how well a blend ranks. A blend of one generator alone is that generator as it is."""
    alone = int(np.count_nonzero(blend)) == 1
    values = []
    for case in cases:
        if alone:
            total = blend @ case.parts
        else:
            total = ranking.weighted(case.parts, blend, np.flatnonzero(case.bought)).sum(axis=0)
        new = np.where(case.bought, -np.inf, total)
        ndcg_new = _ndcg(case, new, case.truth_new) if case.truth_new else np.nan
        top = ranking.top_k(total, K)
        values.append((case.hits[top].sum() / case.truth, _ndcg(case, total, case.truth), ndcg_new))
    return Scores(*np.array(values).T)


def _ndcg(case: Case, total: Array, truth: int) -> float:
    hits = case.hits[ranking.top_k(total, K)]
    return float((hits * _DISCOUNTS[: len(hits)]).sum() / _IDEALS[min(truth, K)])


def choose_blend(cases: list[Case], start: Array, progress: Callable[[], None]) -> Array:
    """Return the blend with the best mean NDCG@10 on `cases`, all items and never-bought items counting alike.

    Counting all items only would reward a blend that proposes nothing new to those who always buy the same.
    Coordinate search from `start`: each weight in turn is multiplied by a few factors or put to nought. The
    repeat weight is the unit and stays. Cheap and deterministic.
    """

    def worth(blend: Array) -> float:
        found = score(cases, blend)
        new = found.ndcg_new[~np.isnan(found.ndcg_new)]
        return float(found.ndcg.mean() + (new.mean() if len(new) else 0.0))

    best, top = start.copy(), worth(start)
    for factors in ((0.0, 0.25, 0.5, 2.0, 4.0), (0.7, 1.4)):
        for position in range(len(best)):
            if BLENDED[position] is Generator.REPEAT:
                continue
            base = best[position] or start[position]
            for factor in factors:
                trial = best.copy()
                trial[position] = base * factor
                value = worth(trial)
                if value > top:
                    best, top = trial, value
            progress()
    return best


def table(cases: list[Case], blend: Array, seed: int) -> dict[str, dict[str, float]]:
    """Return per generator and for the blend: recall@10, ndcg@10 and ndcg_new@10 with 95 % bootstrap intervals over
    customers, and the paired lead of the blend's NDCG with its interval."""
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(cases), (_RESAMPLES, len(cases)))
    named = {name.value: np.eye(len(BLENDED), dtype=np.float32)[i] for i, name in enumerate(BLENDED)}
    named["blend"] = blend
    scores = {name: score(cases, weights) for name, weights in named.items()}
    results = {}
    for name, found in scores.items():
        results[name] = {
            **_interval("recall@10", found.recall, draws), **_interval("ndcg@10", found.ndcg, draws),
            **_interval("ndcg_new@10", found.ndcg_new, draws),
            **_interval("blend_lead", scores["blend"].ndcg - found.ndcg, draws),
        }  # fmt: skip
    return results


def _interval(name: str, values: Array, draws: Array) -> dict[str, float]:
    """Return mean, low and high; customers for whom the value is not defined (NaN) do not count."""
    if np.isnan(values).all():
        return {name: 0.0, f"{name}_low": 0.0, f"{name}_high": 0.0}
    low, high = np.nanquantile(np.nanmean(values[draws], axis=1), [0.025, 0.975])
    return {name: float(np.nanmean(values)), f"{name}_low": float(low), f"{name}_high": float(high)}
