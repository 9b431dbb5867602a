"""`evaluate` and `backtest`: measure, and publish nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from recsvc.settings import configs_folder
from recsvc.settings import load as load_settings
from recsvc.store import facts, opening
from training.cli import tables
from training.cli.bars import Bars
from training.cli.train import Configuration, Json

if TYPE_CHECKING:
    from training.evaluate import Evaluation


def evaluate(config: Configuration = None, as_json: Json = False) -> None:
    """Measure on the held-back days, beside the recipe in use, and publish nothing. Exit 3: the gate would refuse."""
    import time

    from training import evaluate as evaluation
    from training import given
    from training.config import load
    from training.gate import data, scores
    from training.gate.checks import verdict
    from training.production import in_use, recipe_in_use

    settings = load_settings()
    chosen = load(config or configs_folder() / "training.yaml")
    engine = opening.existing(settings.sql_url)
    with Bars() as bars:
        clock = evaluation.Clock()
        read = given.read(engine, chosen, bars)
        production, checks = in_use(settings.artifact_root, facts.ensure(engine))
        checks += data.of_data(read.log, read.catalogue.items, production, chosen.gate, time.time())
        found = evaluation.evaluate(read.log, chosen, bars, clock, read.category)
        theirs, more = recipe_in_use(engine, read, chosen, production, found, bars, clock)
    checks += more + scores.of_scores(found, production, None if theirs is None else theirs.ndcg, chosen)
    _print(found, as_json)
    verdict(checks, False)


def _print(found: Evaluation, as_json: bool) -> None:
    if as_json:
        whole = {"metrics": found.table, "evaluation": found.detail, "measured_on": found.asked}
        print(json.dumps(whole | {"ordering": found.order.name, "note": found.order.note}, indent=1))
        return
    out = tables.output()
    if not found.table:
        out.print(f"Only {found.asked} customers to measure on: not measured.")
        return
    out.print(tables.accuracy(found.table, f"Held-back days, {found.asked:,} customers, all items ranked"))
    out.print(tables.beside(found.table))
    for table in tables.segments(found.detail["segments"]):
        out.print(table)
    out.print(tables.again(found.detail["again"]))
    out.print(tables.calibration(found.detail["calibration"]))
    out.print(found.order.note, markup=False)


def backtest(
    folds: Annotated[int, typer.Option(min=1, max=50, help="How many held-back times.")] = 4,
    config: Configuration = None,
    as_json: Json = False,
) -> None:
    """Measure on several held-back times, one behind the other, each knowing the days before it only."""
    from training import backtest as backtests
    from training import given
    from training.config import load
    from training.evaluate import Clock

    settings = load_settings()
    chosen = load(config or configs_folder() / "training.yaml")
    engine = opening.existing(settings.sql_url)
    with Bars() as bars:
        clock = Clock()
        read = given.read(engine, chosen, bars)
        found = backtests.backtest(read, chosen, folds, bars, clock)
    whole = backtests.pooled(found, chosen.seed)
    if as_json:
        each = [{"ordering": one.order.name, "metrics": one.table, "evaluation": one.detail} for one in found]
        print(json.dumps({"folds": each, "pooled": whole, "seconds": clock.laps}, indent=1))
        return
    out = tables.output()
    out.print(tables.folds(found, whole, chosen.split.test_days))
    out.print(", ".join(f"{name} {spent:.1f} s" for name, spent in clock.laps.items()))
