"""The default recipe on a benchmark's task: learn the order, fit, rank through the engine that serves."""

from __future__ import annotations

import time

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import BLENDED, KINDS, Generator
from recsvc.engine import candidates, ranking
from recsvc.engine.history import DAY, Events, History
from recsvc.engine.model import Model
from training import fit, learn, parallel
from training.benchmark.protocols import Rankings, Task
from training.config import Config
from training.matrix import Matrix
from training.models import registry
from training.progress import Progress
from training.sources import Log

# Baskets without dates are laid a week apart, a customer's last one today: the half-lives of configs/training.yaml,
# in days, then count baskets.
_BETWEEN = 7 * int(DAY)
_NOW = 20000 * int(DAY)


def fit_and_rank(task: Task, config: Config, progress: Progress) -> Rankings:
    """Return what the default recipe ranks for a task: each generator alone, the blend, and the ranker where there
    is one, of which the recipe stands for the one that won on the hold-out."""
    started = time.process_time()
    log = as_log(task, config)
    order = learn.order(log, config, progress)
    config = order.config
    progress.step("fitting", registry.iterations(config))
    matrix, found = fit.arrays(log, config, progress.at)
    blend = dict(zip(BLENDED, order.blend.tolist(), strict=True))
    arrays = fit.without_customers(found, 1) | order.trees
    model = fit.assemble("", arrays, fit.parameters(matrix, config, blend))
    spent = time.process_time() - started
    rows = _rank(model, matrix, task, progress, config.threads)
    weights = ", ".join(f"{name} {weight:.3g}" for name, weight in blend.items())
    return Rankings(rows, order.name, f"{order.note}; blend: {weights}", spent)


def as_log(task: Task, config: Config) -> Log:
    """Return the history of a task as purchases."""
    e = len(task.items)
    if task.at is not None:
        at = task.at.astype(np.int64)
    elif task.baskets is not None:
        newest = np.zeros(task.customer_count, np.int64)
        np.maximum.at(newest, task.customers, task.baskets)
        at = _NOW - (newest[task.customers] - task.baskets) * _BETWEEN
    else:
        at = np.full(e, _NOW)
    orders = -1 - np.arange(e)
    if task.baskets is not None:
        orders = task.customers.astype(np.int64) << 32 | task.baskets
    weight = config.weights.get("purchase", KINDS["purchase"].weight)
    events = Events(
        task.items.astype(np.int32),
        np.full(e, weight, np.float32),
        at,
        np.ones(e, bool),
        np.zeros(e, bool),
        orders,
        np.zeros(e, bool),
    )
    customers, items = (list(map(str, range(count))) for count in (task.customer_count, task.item_count))
    return Log(customers, items, task.customers.astype(np.int32), events, *(np.zeros(e, bool),) * 2)


def _rank(model: Model, matrix: Matrix, task: Task, progress: Progress, threads: int) -> dict[str, Array]:
    names = [*(name.value for name in BLENDED), "blend", *(["ranker"] if model.ranked else [])]
    out = {name: np.full((len(task.asked), task.k), -1, np.int32) for name in names}
    codes = matrix.item_codes.astype(np.int32)
    progress.step("ranking", len(task.asked))
    at = np.searchsorted(matrix.customer_codes, task.asked)

    def ranked(block: int) -> list[dict[str, Array]]:
        histories = [matrix.of(int(row)) for row in at[block * fit.BLOCK : (block + 1) * fit.BLOCK]]
        both = zip(histories, ranking.propose(model, histories), strict=True)
        return [_one(model, history, proposed, task) for history, proposed in both]

    place = 0
    for found in parallel.in_blocks(ranked, -(-len(at) // fit.BLOCK), threads):
        for one in found:
            for name, rows in one.items():
                out[name][place, : len(rows)] = codes[rows]
            place += 1
        progress.at(place)
    return out


def _one(model: Model, history: History, proposed: ranking.Proposed, task: Task) -> dict[str, Array]:
    """Return the item rows that each way of ordering puts first for one customer."""
    refused = history.item_rows if task.masked else np.empty(0, np.int32)

    def top(scores: Array) -> Array:
        scores[refused] = -np.inf
        return ranking.top_k(scores, task.k)

    total = ranking.blended(model, history, proposed)
    found = {
        Generator.COLLABORATIVE.value: top(proposed.collaborative.copy()),
        Generator.NEIGHBOURS.value: top(proposed.neighbours.copy()),
        Generator.REPEAT.value: _own(model, history, task),
        Generator.POPULARITY.value: top(model.log_popularity.copy()),
        "blend": top(total),
    }
    if model.ranked:
        rows = ranking.shortlist(model, history, proposed, total > -np.inf)
        found["ranker"] = rows[ranking.top_k(ranking.ranked(model, history, proposed, rows), task.k)]
    return found


def _own(model: Model, history: History, task: Task) -> Array:
    if task.masked:
        return np.empty(0, np.int32)
    return history.item_rows[ranking.top_k(candidates.repeat(model, history), task.k)]
