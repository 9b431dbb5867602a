"""One training run: read → check → split by time → learn the order → evaluate → fit on all days → publish."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from recsvc import artifact
from recsvc.artifact import Array
from recsvc.concepts import BLENDED
from recsvc.engine import eligibility
from recsvc.engine.history import DAY
from recsvc.errors import InvalidRequest
from recsvc.store import customers, facts, interactions, live
from training import evaluate, fit, learn
from training.config import Config
from training.models import registry
from training.progress import Progress
from training.sources import Log, from_store, with_catalogue

Publish = Callable[[Path, str, dict[str, Array], dict[str, Any]], Path]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run published. table: see `evaluate.table`; empty where there was too little to measure on.
    note: how candidates are ordered, and why."""

    version: str
    folder: Path
    table: dict[str, dict[str, float]]
    blend: dict[str, float]
    note: str
    measured_on: int
    counts: dict[str, int]
    seconds: dict[str, float]


def train(
    engine: sa.Engine, artifacts: Path, config: Config, progress: Progress, publish: Publish = artifact.publish
) -> Outcome:
    """Train on the store and publish.

    Args:
        publish: `artifact.publish`, or `artifact.write` where the version in use is to stay.

    Raises:
        InvalidRequest: there is nothing to learn from; says what is missing.
    """
    clock = _Clock()
    shop = facts.ensure(engine)
    up_to = interactions.newest_revision(engine)
    progress.step("reading interactions", up_to)
    log = from_store(engine, config.weights, up_to, progress.at)
    _check(log)
    catalogue = live.load_catalogue(engine, 0)
    log = with_catalogue(log, catalogue.items.values(), config.catalogue.new_days)
    clock.lap("read")
    order, table, measured_on = _measure(log, config, progress, clock)
    config = order.config
    matrix, found = _fit(log, config, progress, "fitting on all days")
    found |= order.trees
    clock.lap("fit")
    segments = customers.segments(engine)
    found, names, rows = fit.with_customers(found, matrix, log, shop.customer_secret, segments, config.lists.depth)
    parameters = {
        **fit.parameters(matrix, config, dict(zip(BLENDED, order.blend.tolist(), strict=True))),
        "segments": names, "database_id": shop.database_id, "last_revision": up_to,
    }  # fmt: skip
    version = artifact.new_version(datetime.now(UTC))
    built = fit.assemble(version, found, parameters)
    progress.step("finishing lists", len(rows))
    available = eligibility.Availability(*live.columns(catalogue, built.item_ids))
    shelf = eligibility.shelf(available, time.time(), found["karma"])
    found |= fit.finish(built, matrix, rows, shelf, progress.at, config.threads)
    clock.lap("lists")
    progress.step("publishing")
    counts = {"interactions": len(log), "customers": matrix.shape[0], "items": matrix.shape[1]}
    manifest = _manifest(log, config, parameters, table, counts, order)
    folder = publish(artifacts, version, found, manifest)
    clock.lap("publish")
    return Outcome(folder.name, folder, table, parameters["blend"], order.note, measured_on, counts, clock.laps)


def _measure(log: Log, config: Config, progress: Progress, clock: _Clock) -> tuple[learn.Order, dict[str, Any], int]:
    """Return how to order, the table of the held-back days and on how many customers they were measured.

    The order is learnt on the days before the held-back ones, so the table's days never took part in a choice.
    """
    end = float(log.events.at.max()) + 1.0
    test = end - config.split.test_days * DAY
    before, later = log.between(0, test), log.between(test, end)
    if not (before.customers >= 0).any() or not (before.events.purchases & (before.customers >= 0)).any():
        return learn.order(log, config, progress), {}, 0
    order = learn.order(before, config, progress)
    config = order.config
    clock.lap("learn the order")
    pairs, regretted = _sampled(later.pairs(later.events.purchases), config), later.pairs(later.regretted)
    matrix, found = _fit(before, config, progress, "fitting, to measure on")
    built = fit.assemble("", fit.without_customers(found, 1), fit.parameters(matrix, config, dict(config.blend)))
    progress.step("ranking for customers to measure on", None)
    cases = evaluate.cases(
        built, matrix, pairs, lambda done, total: _count(progress, done, total), order.masked, regretted,
        config.threads,
    )  # fmt: skip
    if len(cases) < config.split.min_customers:
        return order, {}, len(cases)
    scorers = {**evaluate.alone(), "blend": evaluate.by_blend(order.blend)}
    if order.trees:
        scorers["ranker"] = order.scorer()
    table = evaluate.table(cases, scorers, order.name, config.seed)
    clock.lap("evaluate")
    return order, table, len(cases)


def _sampled(pairs: Array, config: Config) -> Array:
    """Return the pairs of as many customers as are to be measured on, chosen at random where there are more."""
    customers = np.unique(pairs[:, 0])
    if len(customers) <= config.split.customers:
        return pairs
    chosen = np.random.default_rng(config.seed).choice(customers, config.split.customers, replace=False)
    return pairs[np.isin(pairs[:, 0], chosen)]


def _count(progress: Progress, done: int, total: int) -> None:
    if done <= fit.BLOCK:
        progress.step("ranking for customers to measure on", total)
    progress.at(done)


def _fit(log: Log, config: Config, progress: Progress, name: str) -> Any:
    progress.step(name, registry.iterations(config))
    return fit.arrays(log, config, progress.at)


def _check(log: Log) -> None:
    if not len(log):
        raise InvalidRequest("nothing to learn from: the store holds no interaction that names an item")
    if not log.events.purchases.any():
        raise InvalidRequest("nothing to learn from: the store holds no purchase")
    if not (log.customers >= 0).any():
        raise InvalidRequest("nothing to learn from: no interaction in the store names a customer")


def _manifest(
    log: Log,
    config: Config,
    parameters: dict[str, Any],
    table: dict[str, Any],
    counts: dict[str, int],
    order: learn.Order,
) -> dict[str, Any]:
    first, last = (
        datetime.fromtimestamp(int(at), UTC).isoformat() for at in (log.events.at.min(), log.events.at.max())
    )
    return {
        "engine": "local", "ordering": order.name, "note": order.note, "published_at": time.time(),
        "parameters": parameters,
        "metrics": table, "counts": counts, "window": {"first": first, "last": last},
        "configuration": config.model_dump(),
    }  # fmt: skip


class _Clock:
    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now
