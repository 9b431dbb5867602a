"""Metrics of the lists of an evaluation: of everybody, by segment.

All at 10. Intervals are 95 %, of a bootstrap over customers with one set of draws, so that leads are paired.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from recsvc.artifact import Array
from recsvc.engine.model import FEATURES
from training.cases import DISCOUNTS, IDEALS, Case, K, Scorer, ndcg, top

RESAMPLES: Final = 1000
_VISITS = FEATURES.index("visits")
_PLACES = 1.0 / np.arange(1, K + 1)
# The activity of a customer: visits before, up to and with the number.
_BANDS: Final = ((1, "1 visit"), (5, "2 to 5 visits"), (20, "6 to 20 visits"), (100, "21 to 100 visits"))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What metrics ask of the items. holders: (n,) customers who have each. customers: of how many. factors: (n, k)
    float32 of length 1, or 0 where there are none."""

    holders: Array
    customers: int
    factors: Array


@dataclass(frozen=True, slots=True)
class Measures:
    """What a scorer's lists reached, per customer, (cases,) float64, NaN where it is not defined.

    recall: of all that was bought. ndcg, ndcg_new: see `cases.Scores`. map: average precision (over min(bought, 10)).
    hit: any of it. ndcg_next, recall_next: of the first visit alone. repeat_share: of what is shown, what they had.
    regret: of what is shown, what they later returned, disliked or complained about. novelty: mean −log2 of the share
    of customers who have what is shown. diversity: 1 − mean cosine of the factors of what is shown.
    shown: (cases, 10) int32 item rows, −1 for none.
    """

    recall: Array
    ndcg: Array
    ndcg_new: Array
    map: Array
    hit: Array
    ndcg_next: Array
    recall_next: Array
    repeat_share: Array
    regret: Array
    novelty: Array
    diversity: Array
    shown: Array


_EACH: Final = tuple(name for name in Measures.__slots__ if name != "shown")


def measured(cases: list[Case], scorer: Scorer, catalogue: Catalogue) -> Measures:
    """Return the measures of what a scorer shows."""
    shown = np.full((len(cases), K), -1, np.int32)
    values = np.full((len(cases), len(_EACH)), np.nan)
    for i, case in enumerate(cases):
        total = scorer(case)
        best = top(total)
        rows = case.rows[best]
        shown[i, : len(rows)] = rows
        hits = case.hits[best]
        new = ndcg(case.hits[top(np.where(case.bought, -np.inf, total))], case.truth_new) if case.truth_new else np.nan
        following, count = case.following[best], case.truth_following
        precision = float((hits * np.cumsum(hits) * _PLACES[: len(hits)]).sum() / min(case.truth, K))
        values[i] = (
            hits.sum() / case.truth, ndcg(hits, case.truth), new, precision, hits.any(),
            ndcg(following, count) if count else np.nan, following.sum() / count if count else np.nan,
            case.bought[best].mean() if len(best) else 0.0, case.regretted[best].sum() / max(len(best), 1),
            _novelty(rows, catalogue), _diversity(rows, catalogue),
        )  # fmt: skip
    return Measures(**dict(zip(_EACH, values.T, strict=True)), shown=shown)


def _novelty(rows: Array, catalogue: Catalogue) -> float:
    if not len(rows):
        return float("nan")
    return float(-np.log2(np.maximum(catalogue.holders[rows], 1) / max(catalogue.customers, 1)).mean())


def _diversity(rows: Array, catalogue: Catalogue) -> float:
    if len(rows) < 2:
        return float("nan")
    total = catalogue.factors[rows].sum(axis=0, dtype=np.float64)
    own = (catalogue.factors[rows] ** 2).sum(dtype=np.float64)
    return float(1.0 - (total @ total - own) / (len(rows) * (len(rows) - 1)))


def table(found: dict[str, Measures], chosen: str, items: int, seed: int) -> dict[str, dict[str, float]]:
    """Return per scorer every measure with its interval as `name@10`, `name@10_low`, `name@10_high`; coverage@10, the
    share of `items` that is in any list; and the paired lead in NDCG of the `chosen` one over it.

    What is defined for nobody is left out, and regret where nothing was regretted.
    """
    draws = drawn(len(found[chosen].ndcg), seed)
    regrets = any(one.regret.any() for one in found.values())
    results = {}
    for name, one in found.items():
        row: dict[str, float] = {}
        for metric in _EACH:
            values = getattr(one, metric)
            if not np.isnan(values).all() and (metric != "regret" or regrets):
                row |= interval(f"{metric}@{K}", values, draws)
        row[f"coverage@{K}"] = len(np.unique(one.shown[one.shown >= 0])) / items
        results[name] = row | interval("lead", found[chosen].ndcg - one.ndcg, draws)
    return results


def drawn(n: int, seed: int) -> Array:
    """Return (resamples, n) int64, which customers each resample takes."""
    return np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))


def interval(name: str, values: Array, draws: Array) -> dict[str, float]:
    """Return mean, low and high of values that are defined for somebody; for whom they are not (NaN) does not count."""
    known = ~np.isnan(values)
    sums, counts = np.where(known, values, 0.0)[draws].sum(axis=1), known[draws].sum(axis=1)
    low, high = np.quantile(sums[counts > 0] / counts[counts > 0], [0.025, 0.975])
    return {name: float(values[known].mean()), f"{name}_low": float(low), f"{name}_high": float(high)}


Segments = dict[str, dict[str, dict[str, float]]]


def by_activity(cases: list[Case], ours: Measures, popularity: Measures, seed: int) -> dict[str, dict[str, float]]:
    """Return NDCG by how many visits the customers had made before."""
    visits = np.array([case.table[0, _VISITS] if len(case.table) else 0.0 for case in cases])
    edges = [most for most, _ in _BANDS]
    names = ["none bought", *(name for _, name in _BANDS), f"over {edges[-1]} visits"]
    band = np.where(np.isnan(visits), 0, np.searchsorted(edges, np.nan_to_num(visits)) + 1)
    return {
        name: _segment(ours.ndcg[band == i], popularity.ndcg[band == i], seed)
        for i, name in enumerate(names)
        if (band == i).any()
    }


def by_label(
    cases: list[Case], labels: list[Array], names: list[str], ours: Measures, popularity: Measures, seed: int
) -> dict[str, dict[str, float]]:
    """Return NDCG of the part of what each customer bought that has a label, for the 20 most frequent labels.

    Args:
        labels: per case, (t,) int, index into `names` of each of `truth_rows`; −1 for none.
    """
    owners = np.repeat(np.arange(len(cases)), [len(one) for one in labels])
    label = np.concatenate([*labels, np.empty(0, np.int64)]).astype(np.int64)
    gains = [_gains(cases, one) for one in (ours, popularity)]
    counts = np.bincount(label[label >= 0], minlength=len(names))
    found = {}
    for one in np.argsort(-counts, kind="stable")[:20]:
        if not counts[one]:
            break
        mine = label == one
        truth = np.bincount(owners[mine], minlength=len(cases))
        asked = truth > 0
        scores = [
            np.bincount(owners[mine], gain[mine], len(cases))[asked] / IDEALS[np.minimum(truth[asked], K)]
            for gain in gains
        ]
        found[names[one]] = _segment(scores[0], scores[1], seed)
    return found


def _gains(cases: list[Case], of: Measures) -> Array:
    """Return for each of the `truth_rows` of all cases the discount of its place in the list, 0 where it is in none."""
    found = []
    for case, shown in zip(cases, of.shown, strict=True):
        same = case.truth_rows[:, None] == shown[None, :]
        found.append(np.where(same.any(axis=1), DISCOUNTS[same.argmax(axis=1)], 0.0))
    return np.concatenate([*found, np.empty(0)])


def _segment(ours: Array, popularity: Array, seed: int) -> dict[str, float]:
    found = interval(f"ndcg@{K}", ours, drawn(len(ours), seed))
    return {"customers": len(ours), **found, "popularity": float(popularity.mean())}
