"""The version in use, and what its recipe reaches beside a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from recsvc import artifact
from recsvc.engine.model import from_artifact
from recsvc.errors import ArtifactInvalid, InvalidRequest
from recsvc.store import facts
from training import evaluate, extras, metrics
from training.config import Config
from training.evaluate import Clock, Evaluation
from training.gate.checks import Check, Production
from training.given import Given, read
from training.metrics import Measures
from training.progress import Progress
from training.sources import Log

# Fields of the configuration that do not change which model is learnt, or how well it is measured.
_NO_RECIPE: Final = ("source", "split", "lists", "gate", "publish", "threads", "seed")

# Fields that change what is read.
_READ: Final = ("weights", "catalogue", "features")


def in_use(artifacts: Path, shop: facts.Facts) -> tuple[Production | None, list[Check]]:
    """Return the version in use, or the newest that can be read where that one cannot, and what there is to warn of.

    None where there is none that can be read, or what is in use is another shop's.
    """
    problem = ""
    try:
        current = artifact.current(artifacts)
    except ArtifactInvalid as error:
        problem, current = error.message, None
    if current is None and not problem:
        return None, []
    wanted = [one for one in (current, *(name for name in artifact.versions(artifacts) if name != current)) if one]
    for version in wanted:
        try:
            model = from_artifact(artifact.read(artifacts, version))
        except ArtifactInvalid as error:
            problem = problem or error.message
            continue
        if model.database_id != shop.database_id:
            return None, []
        said = f"{current or 'current'} cannot be read ({problem}): compared with {version}"
        return Production(model, shop.customer_secret), [Check("in_use", True, said, warning=True)] if problem else []
    said = f"{current or 'current'} cannot be read ({problem}), nor another version: compared with nothing"
    return None, [Check("in_use", True, said, warning=True)]


def recipe_in_use(
    engine: sa.Engine,
    given: Given,
    config: Config,
    production: Production | None,
    found: Evaluation,
    progress: Progress,
    clock: Clock,
) -> tuple[Measures | None, list[Check]]:
    """Return what the recipe of the version in use reaches on the same customers and days, fitted to the same data;
    None where it is this one; and what there is to warn of. Its row is added to the table.

    Why not the version as it stands: it was made from the held-back days, so it knows what it is asked.
    """
    if production is None or found.ours is None:
        return None, []
    try:
        recipe = Config.model_validate(production.model.manifest["configuration"])
    except ValueError:  # of an older program
        return None, []
    recipe = recipe.model_copy(update={name: getattr(config, name) for name in _NO_RECIPE})
    recipe, log, checks = _log_of(engine, given, recipe, config, progress)
    if recipe == config:
        return None, checks
    theirs = evaluate.evaluate(log, recipe, progress, clock, {})
    if theirs.ours is None or [one.customer for one in theirs.cases] != [one.customer for one in found.cases]:
        return None, checks
    row = {"in use": theirs.ours, found.order.name: found.ours}
    found.table["in use"] = metrics.table(row, found.order.name, len(given.log.item_ids), config.seed)["in use"]
    return theirs.ours, checks


def _log_of(
    engine: sa.Engine, given: Given, recipe: Config, config: Config, progress: Progress
) -> tuple[Config, Log, list[Check]]:
    """Return a recipe, what it learns from, and a warning where its own columns are not there any more: then it has
    those of this run."""
    checks: list[Check] = []
    if recipe.features != config.features:
        try:
            extras.read(engine, recipe, given.log.item_ids, given.log.customer_ids)
        except InvalidRequest as error:
            said = f"its columns cannot be read any more ({error.message}): compared with those of this run"
            checks = [Check("recipe_in_use", True, said, warning=True)]
            recipe = recipe.model_copy(update={"features": config.features})
    if all(getattr(recipe, name) == getattr(config, name) for name in _READ):
        return recipe, given.log, checks
    return recipe, read(engine, recipe, progress).log, checks
