"""Evaluation on a time split, through the engine that serves: what was bought later, ranked among all items.

Bought items are not masked: where people buy again what they bought before, masking hides most of the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import GENERATORS
from recsvc.engine import ranking
from recsvc.engine.history import History
from recsvc.engine.model import Model
from training.matrix import Matrix
from training.sources import Log

K = 10
_CANDIDATES = 150
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Case:
    """One customer to measure on: candidate item rows (c,), their parts (generators, c) float32, which of them
    are true (c,) bool, how many items are true in all, and the candidates' allowed order by row for ties."""

    rows: Array
    parts: Array
    hits: Array
    truth: int


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
    return Case(rows, parts[:, rows], np.isin(rows, at), len(codes))


def score(cases: list[Case], blend: Array) -> tuple[Array, Array]:
    """Return (cases,) recall@10 and (cases,) NDCG@10 of a blend; ties go to the lower row, as in serving.

    Recall divides by all that was bought; the ideal DCG stands over min(bought, 10) positions.
    """
    discounts = 1.0 / np.log2(np.arange(2, K + 2))
    ideals = np.concatenate([[1.0], np.cumsum(discounts)])
    recall, ndcg = np.zeros(len(cases)), np.zeros(len(cases))
    for i, case in enumerate(cases):
        top = ranking.top_k(blend @ case.parts, K)
        hits = case.hits[top]
        recall[i] = hits.sum() / case.truth
        ndcg[i] = (hits * discounts[: len(hits)]).sum() / ideals[min(case.truth, K)]
    return recall, ndcg


def choose_blend(cases: list[Case], start: Array, progress: Callable[[], None]) -> Array:
    """Return the blend with the best mean NDCG@10 on `cases`, by coordinate search from `start`.

    Each weight in turn is multiplied by a few factors, or put to nought; two rounds. The repeat weight is the
    unit and stays. Cheap, deterministic, and with four weights as good as a longer search.
    """
    best, top = start.copy(), float(score(cases, start)[1].mean())
    unit = GENERATORS.index(next(name for name in GENERATORS if name == "repeat"))
    for factors in ((0.0, 0.25, 0.5, 2.0, 4.0), (0.7, 1.4)):
        for position in range(len(best)):
            if position == unit:
                continue
            for factor in factors:
                trial = best.copy()
                trial[position] = start[position] * factor if factor in (0.0,) else best[position] * factor
                value = float(score(cases, trial)[1].mean())
                if value > top:
                    best, top = trial, value
            progress()
    return best


def table(cases: list[Case], blend: Array, seed: int) -> dict[str, dict[str, float]]:
    """Return per generator and for the blend: recall@10 and ndcg@10 with a 95 % bootstrap interval over customers,
    and for each generator the paired difference of NDCG to the blend with its interval."""
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(cases), (_RESAMPLES, len(cases)))
    named = {name.value: np.eye(len(GENERATORS), dtype=np.float32)[i] for i, name in enumerate(GENERATORS)}
    named["blend"] = blend
    results, ndcgs = {}, {}
    for name, weights in named.items():
        recall, ndcg = score(cases, weights)
        ndcgs[name] = ndcg
        results[name] = {
            "recall@10": float(recall.mean()), "ndcg@10": float(ndcg.mean()),
            **_interval("recall@10", recall, draws), **_interval("ndcg@10", ndcg, draws),
        }  # fmt: skip
    for name in results:
        lead = ndcgs["blend"] - ndcgs[name]
        results[name] |= {"blend_lead": float(lead.mean()), **_interval("blend_lead", lead, draws)}
    return results


def _interval(name: str, values: Array, draws: Array) -> dict[str, float]:
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return {f"{name}_low": float(low), f"{name}_high": float(high)}
