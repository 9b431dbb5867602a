"""`train`: one run, from the store to a published model."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsvc.errors import ArtifactInvalid
from recsvc.settings import configs_folder
from recsvc.settings import load as load_settings
from recsvc.store import opening
from training.cli import tables
from training.cli.bars import Bars
from training.errors import Refused

if TYPE_CHECKING:
    from training.run import Outcome

Configuration = Annotated[Path | None, typer.Option("--config", help="Configuration; default: configs/training.yaml.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


def train(
    config: Configuration = None,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Bring the version in use up to date without learning anew: hourly.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Publish also what the gate refuses; it is recorded.")] = False,
    promote: Annotated[bool, typer.Option("--promote/--no-promote", help="Take the new version into use.")] = True,
    as_json: Json = False,
) -> None:
    """Train on the store and publish.

    Exit 0: published; 2: bad input; 3: refused by the gate; 4: another run is on; then nothing is published.
    """
    from recsvc import artifact
    from recsvc.store import published
    from training import incremental as increments
    from training import run
    from training.config import load
    from training.lock import held

    settings = load_settings()
    chosen = load(config or configs_folder() / "training.yaml")
    engine = opening.existing(settings.sql_url)
    store = published.opened(settings)
    job = increments.train if incremental else run.train
    with held(store.root), Bars() as bars:
        with suppress(ArtifactInvalid):  # what is damaged there is no reason not to train another
            store.follow()
        try:
            outcome = job(engine, store.root, chosen, bars, force=force, publish=artifact.write)
        except Refused as error:
            if as_json:
                print(json.dumps({"refused": error.fields}, indent=1))
            raise
        bars.step("publishing", None)
        store.upload(outcome.version)
        if promote:
            store.use(outcome.version)
        store.retain(chosen.publish.keep)
    if as_json:
        print(json.dumps(asdict(outcome) | {"folder": str(outcome.folder)}, indent=1))
    else:
        _report(outcome)


def _report(outcome: Outcome) -> None:
    out = tables.output()
    if outcome.table:
        title = f"Held-back days, {outcome.measured_on:,} customers, all items ranked"
        out.print(tables.accuracy(outcome.table, title))
        out.print(tables.beside(outcome.table))
    else:
        out.print(f"Only {outcome.measured_on} customers to measure on: not measured; the configured blend is used.")
    out.print(outcome.note, markup=False)
    for said in outcome.features:
        out.print(said, markup=False)
    for one in outcome.gate["checks"]:
        if one["warning"] or not one["passed"]:
            out.print(f"{'warning' if one['passed'] else 'forced'}: {one['code']}: {one['message']}", markup=False)
    out.print("blend: " + ", ".join(f"{name} {weight:.3g}" for name, weight in outcome.blend.items()))
    out.print(", ".join(f"{name} {count:,}" for name, count in outcome.counts.items()))
    laps = ", ".join(f"{name} {spent:.1f} s" for name, spent in outcome.seconds.items())
    out.print(f"{laps}; in all {sum(outcome.seconds.values()):.1f} s")
    out.print(f"published {outcome.version} to {outcome.folder}", soft_wrap=True)
