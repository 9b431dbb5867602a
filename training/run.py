"""One training run: read → check → split by time → learn the order → evaluate → gate → fit on all days → publish."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from recsvc import artifact
from recsvc.artifact import Array
from recsvc.store import facts
from training import build, evaluate, given
from training.build import Built
from training.config import Config
from training.evaluate import Clock, Evaluation
from training.gate import arrays, data, scores
from training.gate.checks import verdict
from training.given import Given
from training.offers import of_store
from training.production import in_use, recipe_in_use
from training.progress import Progress
from training.report import collect

Publish = Callable[[Path, str, dict[str, Array], dict[str, Any]], Path]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run published. table: see `metrics.table`; empty where there was too little to measure on.
    note: how candidates are ordered, and why. gate: see `gate.checks.verdict`. features: of the shop's own columns,
    where they come from and what did not fit."""

    version: str
    folder: Path
    table: dict[str, dict[str, float]]
    blend: dict[str, float]
    note: str
    measured_on: int
    counts: dict[str, int]
    seconds: dict[str, float]
    gate: dict[str, Any]
    features: list[str] = field(default_factory=list)


def train(
    engine: sa.Engine, artifacts: Path, config: Config, progress: Progress, *, force: bool = False,
    publish: Publish = artifact.publish,
) -> Outcome:  # fmt: skip
    """Train on the store and publish.

    Args:
        publish: `artifact.publish`, or `artifact.write` where the version in use is to stay.
        force: publish also what the gate refuses, and say so in the manifest.

    Raises:
        InvalidRequest: there is nothing to learn from; says what is missing.
        Refused: by the gate; nothing is published.
    """
    clock = Clock()
    shop = facts.ensure(engine)
    read = given.read(engine, config, progress)
    production, checks = in_use(artifacts, shop)
    checks += data.of_data(read.log, read.catalogue.items, production, config.gate, time.time())
    verdict(checks, force)
    clock.lap("read")
    found = evaluate.evaluate(read.log, config, progress, clock, read.category)
    beside, more = recipe_in_use(engine, read, config, production, found, progress, clock)
    checks += more + scores.of_scores(found, production, None if beside is None else beside.ndcg, config)
    verdict(checks, force)
    offers = of_store.learnt(engine, read.log, read.catalogue, read.up_to, config, progress)
    clock.lap("offers")
    version = artifact.new_version(datetime.now(UTC))
    fitted = build.fitted(read, found.order, offers, version, engine, shop, progress)
    checks += arrays.of_arrays(fitted.found, fitted.matrix.shape, production)
    verdict(checks, force)
    clock.lap("fit")
    fitted = build.finished(fitted, read, config, progress)
    clock.lap("lists")
    checks += arrays.of_model(fitted.model, fitted.matrix, fitted.rows, config.seed)
    manifest = _manifest(read, config, fitted, found, verdict(checks, force)) | {"offers": offers.judged}
    kept = artifact.Artifact(version, manifest, fitted.found)
    manifest["report"] = collect.collect(engine, read, kept, production, clock.laps)
    progress.step("publishing")
    folder = publish(artifacts, version, fitted.found, manifest)
    clock.lap("publish")
    return Outcome(
        folder.name, folder, found.table, fitted.parameters["blend"], found.order.note, found.asked,
        manifest["counts"], clock.laps, manifest["gate"], read.log.extras.notes if read.log.extras else [],
    )  # fmt: skip


def _manifest(read: Given, config: Config, fitted: Built, found: Evaluation, judged: dict[str, Any]) -> dict[str, Any]:
    return {
        **build.manifest(fitted, read), "ordering": found.order.name, "note": found.order.note,
        "metrics": found.table, "evaluation": found.detail, "gate": judged, "configuration": config.model_dump(),
    }  # fmt: skip
