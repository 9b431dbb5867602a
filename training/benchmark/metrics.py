"""Metrics: how good rankings are, with what certainty, and what they are beside being right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array
from training.benchmark.protocols import Case, Task, Truth, found_in, held

_RESAMPLES = 1000
_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Scores:
    """Per customer, (c,) float64. recall: share of the truth that is in the list. ndcg: binary. hit: 1.0 where any of
    the truth is in the list."""

    recall: Array
    ndcg: Array
    hit: Array


def score(rankings: Array, truth: Truth, item_count: int, ideal: int | None) -> Scores:
    """Return how well rankings meet the truth.

    Args:
        rankings: (c, k) int32 item codes, best first, −1 for none.
        ideal: how many positions the ideal list has at most: LightGCN takes k; None: as many as there is truth,
            which the Reality Check's code takes, so that a truth longer than the list cannot reach 1.
    """
    c, k = rankings.shape
    sizes = np.bincount(truth.owners, minlength=c)
    pairs = np.sort(truth.owners.astype(np.int64) * item_count + truth.items)
    hits = found_in(pairs, np.arange(c), rankings, item_count)
    discounts = 1.0 / np.log2(np.arange(2, max(k, int(sizes.max())) + 2))
    ideals = np.cumsum(discounts)[(sizes if ideal is None else np.minimum(sizes, ideal)) - 1]
    recall, ndcg = np.asarray(hits.sum(axis=1) / sizes), np.asarray(hits @ discounts[:k] / ideals)
    return Scores(recall, ndcg, np.asarray(hits.any(axis=1)).astype(np.float64))


def beside(rankings: Array, task: Task, pairs: Array) -> dict[str, float]:
    """Return what rankings are beside accurate.

    coverage: share of the catalogue that is in any list. novelty: mean self-information of what is shown, in bits,
    −log2 of the share of customers who have the item (an item nobody has counts as one customer's). repeat_share:
    share of what is shown that the customer had before.

    Args:
        pairs: what `held` returns.
    """
    shown = rankings[rankings >= 0]
    if not len(shown):
        return {"coverage": 0.0, "novelty": 0.0, "repeat_share": 0.0}
    holders = np.maximum(np.bincount(pairs % task.item_count, minlength=task.item_count), 1)
    customers = np.count_nonzero(np.bincount(task.customers))
    return {
        "coverage": np.count_nonzero(np.bincount(shown)) / task.item_count,
        "novelty": float(-np.log2(holders[shown] / customers).mean()),
        "repeat_share": float(found_in(pairs, task.asked, rankings, task.item_count).sum() / len(shown)),
    }


def table(rows: dict[str, Array], chosen: str, case: Case, seed: int) -> dict[str, dict[str, float]]:
    """Return for each row recall@k, ndcg@k (next-basket: and phr@k) with the 95 % bootstrap interval over customers
    as …_low and …_high; lead: of the chosen row over this one in NDCG, paired; and what `beside` returns.

    Args:
        rows: name → (c, k) int32 rankings.
    """
    task, k = case.task, case.task.k
    names = ("recall", "ndcg") if task.masked else ("recall", "ndcg", "phr")
    scores = [score(one, case.truth, task.item_count, k if task.masked else None) for one in rows.values()]
    values = np.stack([part for one in scores for part in (one.recall, one.ndcg, one.hit)[: len(names)]], axis=1)
    draws, pairs = resampled(values, seed), held(task)
    best = list(rows).index(chosen) * len(names) + 1
    found = {}
    for row, (name, rankings) in enumerate(rows.items()):
        at = row * len(names)
        found[name] = {
            **{key: value for i, metric in enumerate(names)
               for key, value in interval(f"{metric}@{k}", values[:, at + i], draws[:, at + i]).items()},
            **interval("lead", values[:, best] - values[:, at + 1], draws[:, best] - draws[:, at + 1]),
            **{f"{key}@{k}": value for key, value in beside(rankings, task, pairs).items()},
        }  # fmt: skip
    return found


def resampled(values: Array, seed: int) -> Array:
    """Return (1000, m): means of (c, m) values over customers drawn with replacement, the same for all columns."""
    rng = np.random.default_rng(seed)
    c = len(values)
    at_once = max(1, _DRAWS_AT_ONCE // c)
    means = []
    for start in range(0, _RESAMPLES, at_once):
        size = min(at_once, _RESAMPLES - start)
        drawn = rng.integers(0, c, (size, c)) + np.arange(size)[:, None] * c
        counts = np.bincount(drawn.ravel(), minlength=size * c).reshape(size, c)
        means.append(counts.astype(np.float64) @ values / c)
    return np.concatenate(means)


def interval(name: str, values: Array, means: Array) -> dict[str, float]:
    low, high = np.quantile(means, [0.025, 0.975])
    return {name: float(values.mean()), f"{name}_low": float(low), f"{name}_high": float(high)}
