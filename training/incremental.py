"""Incremental: the version in use brought up to date, without learning anything anew.

Counted again: what customers have, what sells and is bought again, returns, segments; and everybody's list is finished
again, also of customers who are new since. Kept: the factors, the neighbours, what is bought together, the order and
which items there are. An item that is new since waits for the next full run; in the lists of what is new it is at once.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import sqlalchemy as sa

from recsvc import artifact
from recsvc.artifact import Array
from recsvc.engine.model import Model
from recsvc.errors import InvalidRequest
from recsvc.store import facts
from training import build, fit, given
from training import matrix as matrices
from training.build import Built
from training.config import Columns, Config, Features
from training.content import of_catalogue
from training.evaluate import Clock
from training.gate import arrays, data
from training.gate.checks import Check, Production, verdict
from training.given import Given
from training.matrix import Matrix
from training.offers import of_store
from training.production import in_use
from training.progress import Progress
from training.report import collect
from training.run import Outcome, Publish
from training.sources import Log

# What its full run found of the order holds for what is made from it.
_MEASURED: Final = ("worse_than_popularity", "shuffled_ids", "worse_than_production", "fell")


def train(
    engine: sa.Engine, artifacts: Path, config: Config, progress: Progress, *, force: bool = False,
    publish: Publish = artifact.publish,
) -> Outcome:  # fmt: skip
    """Publish the version in use with what the store holds now. The recipe is that version's.

    Args:
        config: only `source`, `gate` and `threads` are taken from it.
        force: publish also what the gate refuses, and say so in the manifest.
        publish: as in `run.train`.

    Raises:
        InvalidRequest: there is no version in use, or nothing to learn from.
        Refused: by the gate; nothing is published.
    """
    clock = Clock()
    shop = facts.ensure(engine)
    production, checks = in_use(artifacts, shop)
    if production is None:
        why = f" ({checks[0].message})" if checks else ""
        raise InvalidRequest(f"incremental: no version in use to start from{why}; train without --incremental first")
    base = production.model
    recipe = _recipe(base.manifest, config)
    read = given.read(engine, recipe, progress)
    checks += data.of_data(read.log, read.catalogue.items, production, config.gate, time.time())
    verdict(checks, force)
    read = replace(read, log=of_items(read.log, base.item_ids, read))
    clock.lap("read")
    matrix, found = counted(base.a, read.log, recipe)
    trained = base.manifest["parameters"]
    blend = dict(trained["blend"])
    if "offer_groups" in found:
        past = of_store.past_of(engine, read.log, read.catalogue, read.up_to, recipe)
        found["customer_offers"] = of_store.takings(past, of_store.moment(read.log), matrix.customer_codes)
    learnt = {"blend": blend, "offers": trained.get("offers", {})}
    version = artifact.new_version(datetime.now(UTC))
    built = build.of_arrays(read, recipe, matrix, found, learnt, version, engine, shop)
    clock.lap("count")
    built = build.finished(built, read, recipe, progress)
    clock.lap("lists")
    checks += arrays.of_arrays(built.found, built.matrix.shape, production)
    checks += arrays.of_model(built.model, built.matrix, built.rows, recipe.seed)
    manifest = _manifest(built, read, base) | {"gate": _gate(production, checks, force)}
    new = artifact.Artifact(version, manifest, built.found)
    manifest["report"] = collect.collect(engine, read, new, production, clock.laps)
    progress.step("publishing")
    folder = publish(artifacts, version, built.found, manifest)
    clock.lap("publish")
    return Outcome(
        folder.name, folder, manifest["metrics"], blend, f"{manifest['note']}; incremental on {base.version}",
        int(manifest["evaluation"].get("customers", 0)), manifest["counts"], clock.laps, manifest["gate"],
        read.log.extras.notes if read.log.extras else [],
    )  # fmt: skip


def _manifest(built: Built, read: Given, base: Model) -> dict[str, Any]:
    """Return the manifest: what was measured and learnt is the full run's, which it names."""
    kept = {name: base.manifest[name] for name in ("ordering", "note", "metrics", "evaluation", "configuration")}
    kept["offers"] = base.manifest.get("offers", {})
    full = base.manifest.get("incremental_on", base.version)
    return build.manifest(built, read) | kept | {"incremental_on": full}


def _gate(production: Production, checks: list[Check], force: bool) -> dict[str, Any]:
    """Return the record of the gate: the verdict is over this run's own checks. What its full run found of the order
    was judged then, and perhaps forced: it is carried, not judged again."""
    own = verdict(checks, force)
    measured = [one for code in _MEASURED if (one := production.check(code))]
    return own | {"checks": [*measured, *own["checks"]]}


def _recipe(manifest: dict[str, Any], config: Config) -> Config:
    recipe = Config.model_validate(manifest["configuration"])
    history = recipe.history.model_copy(update={"visit_decay": manifest["parameters"]["visit_decay"]})
    mine = {name: getattr(config, name) for name in ("source", "gate", "threads")}
    trained = manifest["parameters"].get("features", {})
    features = {side: _columns(one, trained.get(side, [])) for side, one in recipe.features}
    return recipe.model_copy(update={"history": history, "features": Features(**features), **mine})


def _columns(side: Columns, trained: list[str]) -> Columns:
    """Return where to read one side's columns from: those that the ranker was trained on, in their order."""
    return side if side.attributes or not trained else side.model_copy(update={"columns": trained})


def of_items(log: Log, item_ids: list[str], read: Given) -> Log:
    """Return the part of a log that is about some items, with these as its codes, in their order."""
    known = {item_id: row for row, item_id in enumerate(item_ids)}
    row_of = np.array([known.get(item_id, -1) for item_id in log.item_ids], np.int32)
    part = log.part(row_of[log.events.item_rows] >= 0)
    events = replace(part.events, item_rows=row_of[part.events.item_rows])
    _, content = of_catalogue(item_ids, read.catalogue.items.values(), np.inf)
    # All items have a row, those too of which nothing is known any more.
    content = replace(content, new=np.arange(len(item_ids), dtype=np.int32))
    extras = part.extras
    if extras is not None:
        code = {item_id: row for row, item_id in enumerate(log.item_ids)}
        extras = replace(extras, items=extras.items.at(np.array([code.get(one, -1) for one in item_ids], np.int64)))
    return replace(part, item_ids=item_ids, events=events, content=content, extras=extras)


def counted(base: dict[str, Array], log: Log, config: Config) -> tuple[Matrix, dict[str, Array]]:
    """Return the matrix of a log in the item rows of a model, and the model's item arrays brought up to date.

    Args:
        base: the arrays of the model.
        log: from `of_items`.
    """
    matrix = matrices.build(log, config)
    kept = {
        name: one for name, one in base.items() if not name.startswith(("own_", "finished_", "customer_", "segment_"))
    }
    return matrix, kept | fit.counted(log, matrix, config)
