"""One training run: read → check → split by time → learn the order → evaluate → gate → fit on all days → publish."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from recsvc import artifact
from recsvc.artifact import Array
from recsvc.concepts import BLENDED
from recsvc.engine import eligibility
from recsvc.engine.model import Model
from recsvc.store import customers, facts, live
from training import evaluate, fit, given
from training.config import Config
from training.evaluate import Clock, Evaluation
from training.gate import arrays, data, scores
from training.gate.checks import verdict
from training.given import Given
from training.learn import Order
from training.matrix import Matrix
from training.models import registry
from training.production import in_use, recipe_in_use
from training.progress import Progress
from training.report import collect


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run published. table: see `metrics.table`; empty where there was too little to measure on.
    note: how candidates are ordered, and why. gate: see `gate.checks.verdict`."""

    version: str
    folder: Path
    table: dict[str, dict[str, float]]
    blend: dict[str, float]
    note: str
    measured_on: int
    counts: dict[str, int]
    seconds: dict[str, float]
    gate: dict[str, Any]


def train(engine: sa.Engine, artifacts: Path, config: Config, progress: Progress, *, force: bool = False) -> Outcome:
    """Train on the store and publish.

    Args:
        force: publish also what the gate refuses, and say so in the manifest.

    Raises:
        InvalidRequest: there is nothing to learn from; says what is missing.
        Refused: by the gate; nothing is published.
    """
    clock = Clock()
    shop = facts.ensure(engine)
    read = given.read(engine, config, progress)
    production = in_use(artifacts, shop)
    checks = data.of_data(read.log, read.catalogue.items, production, config.gate, time.time())
    verdict(checks, force)
    clock.lap("read")
    found = evaluate.evaluate(read.log, config, progress, clock, read.category, first=production is None)
    beside = recipe_in_use(engine, read, config, production, found, progress, clock)
    checks += scores.of_scores(found, production, None if beside is None else beside.ndcg, config)
    verdict(checks, force)
    version = artifact.new_version(datetime.now(UTC))
    fitted = _fit(read, found.order, version, engine, shop, progress)
    checks += arrays.of_arrays(fitted.found, fitted.matrix.shape, production)
    verdict(checks, force)
    clock.lap("fit")
    fitted = _finish(fitted, read, config, progress)
    clock.lap("lists")
    checks += arrays.of_model(fitted.model, fitted.matrix, fitted.rows, config.seed)
    manifest = _manifest(read, config, fitted, found, verdict(checks, force))
    kept = artifact.Artifact(version, manifest, fitted.found)
    manifest["report"] = collect.collect(engine, read, kept, production, clock.laps)
    progress.step("publishing")
    folder = artifact.publish(artifacts, version, fitted.found, manifest)
    clock.lap("publish")
    return Outcome(
        version, folder, found.table, fitted.parameters["blend"], found.order.note, found.asked,
        manifest["counts"], clock.laps, manifest["gate"],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A model of all days with its finished lists. rows: matrix row of each customer row."""

    matrix: Matrix
    found: dict[str, Array]
    parameters: dict[str, Any]
    rows: Array
    model: Model


def _fit(read: Given, order: Order, version: str, engine: sa.Engine, shop: facts.Facts, progress: Progress) -> _Fitted:
    """Return the model of all days, ordered as was learnt, with a list of nobody yet."""
    config = order.config
    progress.step("fitting on all days", registry.iterations(config))
    matrix, found = fit.arrays(read.log, config, progress.at)
    segments = customers.segments(engine)
    found, names, rows = fit.with_customers(
        found | order.trees, matrix, read.log, shop.customer_secret, segments, config.lists.depth
    )
    parameters = {
        **fit.parameters(matrix, config, dict(zip(BLENDED, order.blend.tolist(), strict=True))),
        "segments": names, "database_id": shop.database_id, "last_revision": read.up_to,
    }  # fmt: skip
    return _Fitted(matrix, found, parameters, rows, fit.assemble(version, found, parameters))


def _finish(fitted: _Fitted, read: Given, config: Config, progress: Progress) -> _Fitted:
    """Return it with the finished lists of all customers."""
    progress.step("finishing lists", len(fitted.rows))
    available = eligibility.Availability(*live.columns(read.catalogue, fitted.model.item_ids))
    shelf = eligibility.shelf(available, time.time(), fitted.found["karma"])
    lists = fit.finish(fitted.model, fitted.matrix, fitted.rows, shelf, progress.at, config.threads)
    found = fitted.found | lists
    model = fit.assemble(fitted.model.version, found, fitted.parameters)
    return _Fitted(fitted.matrix, found, fitted.parameters, fitted.rows, model)


def _manifest(
    read: Given, config: Config, fitted: _Fitted, found: Evaluation, judged: dict[str, Any]
) -> dict[str, Any]:
    at = read.log.events.at
    first, last = (datetime.fromtimestamp(int(one), UTC).isoformat() for one in (at.min(), at.max()))
    return {
        "engine": "local", "ordering": found.order.name, "note": found.order.note, "published_at": time.time(),
        "parameters": fitted.parameters, "metrics": found.table, "evaluation": found.detail, "gate": judged,
        "counts": _counts(read, fitted), "window": {"first": first, "last": last},
        "configuration": config.model_dump(),
    }  # fmt: skip


def _counts(read: Given, fitted: _Fitted) -> dict[str, int]:
    people, items = fitted.matrix.shape
    return {"interactions": len(read.log), "customers": people, "items": items}
