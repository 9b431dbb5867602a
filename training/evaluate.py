"""Evaluation: what customers bought on the held-back days, ranked by a model of the days before.

Everything that is chosen (the blend, the ranker, the ageing of visits) is chosen on the days before too, so the
held-back days took part in nothing that they measure.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import BLENDED, Generator
from recsvc.engine.history import DAY, visits_of
from recsvc.engine.model import Model
from training import cases, fit, learn, metrics, repeats
from training.cases import Case, Truth
from training.config import Config
from training.matrix import Matrix
from training.metrics import Measures
from training.models import registry
from training.progress import Progress
from training.sources import Log


class Clock:
    """Seconds of each part of a run, by name."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """End a part; what has its name already grows."""
        now = time.perf_counter()
        self.laps[name], self._last = self.laps.get(name, 0.0) + now - self._last, now


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was learnt and measured. order: how to order, learnt before the held-back days. asked: customers measured
    on; with too few of them the rest is empty. ours: of the order. table: see `metrics.table`. detail: days, segments
    and calibration, for the manifest."""

    order: learn.Order
    asked: int
    cases: list[Case] = field(default_factory=list)
    ours: Measures | None = None
    table: dict[str, dict[str, float]] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)


def evaluate(
    log: Log,
    config: Config,
    progress: Progress,
    clock: Clock,
    category: dict[str, str],
    end: float | None = None,
) -> Evaluation:
    """Return how to order, and what that reached on the held-back days.

    Where popularity is ahead of what was learnt beyond the interval, popularity orders: a list of what sells is better
    than a worse one.

    Args:
        category: item_id → the name under which its sales are measured.
        end: epoch seconds; where the held-back days end, when not with the newest event.
    """
    end = float(log.events.at.max()) + 1.0 if end is None else end
    test = end - config.split.test_days * DAY
    before, later = log.between(0, test), log.between(test, end)
    if not (before.events.purchases & (before.customers >= 0)).any():
        return Evaluation(learn.order(log.between(0, end), config, progress), 0)
    order = learn.order(before, config, progress)
    clock.lap("learn the order")
    model, matrix, found = _asked(before, later, order, progress)
    if len(found) < config.split.min_customers:
        return Evaluation(order, len(found))
    progress.step("measuring", None)
    catalogue = _catalogue(model, matrix)
    measures = {name: metrics.measured(found, scorer, catalogue) for name, scorer in _scorers(order).items()}
    again = repeats.measured(model, matrix, order.config, later, test)
    labels = {"category": _categories(found, model, category), "channel": _channels(found, matrix, later)}
    days = {
        **again,
        "customers": len(found),
        "days": config.split.test_days,
        "first": _day(test),
        "last": _day(end - 1.0),
    }
    order, measures = _at_least_popular(order, measures, config.seed)
    done = _measured(order, found, measures, labels, days, model.n_items, config.seed)
    clock.lap("evaluate")
    return done


def _at_least_popular(
    order: learn.Order, measures: dict[str, Measures], seed: int
) -> tuple[learn.Order, dict[str, Measures]]:
    lead = measures[order.name].ndcg - measures["popularity"].ndcg
    found = metrics.interval("lead", lead, metrics.drawn(len(lead), seed))
    if found["lead_high"] >= 0:
        return order, measures
    blend = np.array([float(name is Generator.POPULARITY) for name in BLENDED], np.float32)
    note = f"popularity: what was learnt is behind it by {-found['lead']:.4f} in ndcg@10 on the held-back days"
    rows = {name: one for name, one in measures.items() if name != "ranker"} | {"blend": measures["popularity"]}
    return replace(order, blend=blend, trees={}, note=note), rows


Labels = tuple[list[Array], list[str]]


def _measured(
    order: learn.Order,
    found: list[Case],
    measures: dict[str, Measures],
    labels: dict[str, Labels | None],
    days: dict[str, Any],
    items: int,
    seed: int,
) -> Evaluation:
    ours, popular = measures[order.name], measures["popularity"]
    segments = {"activity": metrics.by_activity(found, ours, popular, seed)} | {
        name: metrics.by_label(found, *given, ours, popular, seed) for name, given in labels.items() if given
    }
    detail = {**days, "segments": segments}
    return Evaluation(order, len(found), found, ours, metrics.table(measures, order.name, items, seed), detail)


def _asked(before: Log, later: Log, order: learn.Order, progress: Progress) -> tuple[Model, Matrix, list[Case]]:
    """Return the model of the days before, its matrix, and a case for each customer who bought later."""
    config = order.config
    progress.step("fitting, to measure on", registry.iterations(config))
    matrix, arrays = fit.arrays(before, config, progress.at)
    arrays |= repeats.learnt(before, matrix, config)
    model = fit.assemble("", fit.without_customers(arrays, 1), fit.parameters(matrix, config, dict(config.blend)))
    truth = happened(later, config)
    progress.step("ranking for customers to measure on", len(np.unique(truth.bought[:, 0])))
    found = cases.ask(model, matrix, truth, lambda done, _: progress.at(done), order.masked, config.threads)
    return model, matrix, found


def happened(later: Log, config: Config) -> Truth:
    """Return what was bought and regretted later by as many customers as are to be measured on."""
    bought = np.flatnonzero(later.events.purchases & (later.customers >= 0))
    first, _ = visits_of(later.customers[bought], later.events.at[bought])
    pairs = later.pairs(bought)
    customers = np.unique(pairs[:, 0])
    if len(customers) > config.split.customers:
        chosen = np.random.default_rng(config.seed).choice(customers, config.split.customers, replace=False)
        pairs = pairs[np.isin(pairs[:, 0], chosen)]
    return Truth(pairs, later.pairs(bought[first == 0]), later.pairs(later.regretted & (later.customers >= 0)))


def _scorers(order: learn.Order) -> dict[str, cases.Scorer]:
    scorers = {**cases.alone(), "personal frequency": cases.by_frequency(), "blend": cases.by_blend(order.blend)}
    return scorers | ({"ranker": order.scorer()} if order.trees else {})


def _catalogue(model: Model, matrix: Matrix) -> metrics.Catalogue:
    factors = model.a["factors"].T
    lengths = np.linalg.norm(factors, axis=1, keepdims=True)
    holders = np.bincount(matrix.history.item_rows[matrix.history.orders > 0], minlength=model.n_items)
    return metrics.Catalogue(holders, matrix.shape[0], np.asarray(factors / np.maximum(lengths, 1e-12)))


def _categories(found: list[Case], model: Model, category: dict[str, str]) -> tuple[list[Array], list[str]] | None:
    names = sorted(set(category.values()))
    if not names:
        return None
    code = {name: n for n, name in enumerate(names)}
    of = np.array([code.get(category.get(item_id, ""), -1) for item_id in model.item_ids], np.int64)
    return [of[case.truth_rows] for case in found], names


def _channels(found: list[Case], matrix: Matrix, later: Log) -> tuple[list[Array], list[str]] | None:
    """Return the channel through which each of the truth was bought, last."""
    if later.channels is None or not (later.channels >= 0).any():
        return None
    named = np.flatnonzero(later.events.purchases & (later.customers >= 0) & (later.channels >= 0))
    pairs = later.customers[named].astype(np.int64) << 32 | later.events.item_rows[named]
    through = dict(zip(pairs.tolist(), later.channels[named].tolist(), strict=True))
    labels = [
        np.array(
            [through.get(case.customer << 32 | code, -1) for code in matrix.item_codes[case.truth_rows].tolist()],
            np.int64,
        )
        for case in found
    ]
    return labels, later.channel_names


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
