"""Baselines: what a shop could have without a recipe. Also what fills a list that is too short: popularity."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsvc.artifact import Array
from training.benchmark.protocols import Rankings, Task
from training.config import Config
from training.progress import Progress

_AT_ONCE = 2_000


def rankings(task: Task, config: Config, progress: Progress) -> dict[str, Array]:
    """Return name → (c, k) int32 rankings of the baselines that mean something in the task."""
    progress.step("popularity and personal frequency")
    found = {"popularity": popularity(task)}
    if not task.masked:
        found["personal frequency"] = personal_frequency(task)
    found.update(_implicit(task, config, progress))
    return found


def popularity(task: Task) -> Array:
    """Return (c, k) int32: what is in most lines of the history, without what the task masks."""
    return filled(np.full((len(task.asked), task.k), -1, np.int32), task)


def personal_frequency(task: Task) -> Array:
    """Return (c, k) int32: what the customer has most often in the history, ties by popularity; then popularity."""
    n = task.item_count
    pairs, counts = np.unique(task.customers.astype(np.int64) * n + task.items, return_counts=True)
    customers, items = pairs // n, pairs % n
    sold = np.bincount(task.items, minlength=n)
    order = np.lexsort((items, -sold[items], -counts, customers))
    customers, items = customers[order], items[order]
    places = np.arange(len(order)) - np.searchsorted(customers, customers)
    at = np.minimum(np.searchsorted(task.asked, customers), len(task.asked) - 1)
    keep = (places < task.k) & (task.asked[at] == customers)
    found = np.full((len(task.asked), task.k), -1, np.int32)
    found[at[keep], places[keep]] = items[keep]
    return filled(found, task)


def filled(short: Array, task: Task) -> Array:
    """Return rankings in which each −1 has become the next most popular item that is not in the list, nor masked for
    the customer. −1 stays where the catalogue has no more."""
    n = task.item_count
    order = np.lexsort((np.arange(n), -np.bincount(task.items, minlength=n))).astype(np.int32)
    starts = np.searchsorted(task.customers, task.asked)
    ends = np.searchsorted(task.customers, task.asked, side="right")
    found, refused = short.copy(), np.zeros(n, bool)
    for row in np.flatnonzero((short < 0).any(axis=1)).tolist():
        has = short[row][short[row] >= 0]
        taken = np.concatenate([has, task.items[starts[row] : ends[row]]]) if task.masked else has
        refused[taken] = True
        best = order[: task.k + len(taken)]
        line = np.concatenate([has, best[~refused[best]]])[: task.k]
        found[row, : len(line)] = line
        refused[taken] = False
    return found


def simplest(task: Task, config: Config, progress: Progress) -> Rankings:
    """Return popularity, or where repeats count personal frequency, as if it were a recipe."""
    progress.step("popularity")
    found = popularity(task) if task.masked else personal_frequency(task)
    return Rankings({"simplest": found}, "simplest", "the most frequent", 0.0)


def _implicit(task: Task, config: Config, progress: Progress) -> dict[str, Array]:
    """Return implicit's ALS with its own defaults, which take away what a customer has; and, where that may be bought
    again, also without taking it away."""
    from implicit.cpu.als import AlternatingLeastSquares

    shape = (task.customer_count, task.item_count)
    # Equal cells add up: a matrix of counts, where an item can be several times in the history.
    ones = np.ones(len(task.items), np.float32)
    matrix = sparse.csr_matrix((ones, (task.customers, task.items)), shape=shape)
    model = AlternatingLeastSquares(random_state=config.seed, num_threads=config.threads)
    progress.step("plain implicit", model.iterations)
    with threadpool_limits(limits=1, user_api="blas"):
        model.fit(matrix, show_progress=False, callback=lambda done, *_: progress.at(done + 1))
    ways = {"plain implicit": True} if task.masked else {"plain implicit": True, "plain implicit, repeats kept": False}
    return {name: _recommended(model, matrix, task, progress, name, masked) for name, masked in ways.items()}


def _recommended(
    model: object, matrix: sparse.csr_matrix, task: Task, progress: Progress, name: str, masked: bool
) -> Array:
    found = np.full((len(task.asked), task.k), -1, np.int32)
    width = min(task.k, task.item_count)
    progress.step(f"{name}: lists", len(task.asked))
    for start in range(0, len(task.asked), _AT_ONCE):
        whom = task.asked[start : start + _AT_ONCE]
        items, scores = model.recommend(whom, matrix[whom], N=width, filter_already_liked_items=masked)  # type: ignore[attr-defined]
        # What is filtered comes back at the end with the lowest score there is, when there is nothing else.
        found[start : start + len(whom), :width] = np.where(scores > np.finfo(np.float32).min, items, -1)
        progress.at(start + len(whom))
    return found
