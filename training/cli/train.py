"""`train`: one run, from the store to a published model."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from recsvc.errors import ArtifactInvalid
from recsvc.settings import configs_folder
from recsvc.settings import load as load_settings
from recsvc.store import opening
from training.cli.bars import Bars


def train(
    config: Annotated[Path | None, typer.Option(help="Configuration; default: configs/training.yaml.")] = None,
    promote: Annotated[bool, typer.Option("--promote/--no-promote", help="Take the new version into use.")] = True,
) -> None:
    """Train on the store and publish. Exit 0: published; 2: bad input, nothing published; 4: another run is on."""
    from recsvc import artifact
    from recsvc.store import published
    from training import run
    from training.config import load
    from training.lock import held

    settings = load_settings()
    chosen = load(config or configs_folder() / "training.yaml")
    engine = opening.existing(settings.sql_url)
    store = published.opened(settings)
    with held(store.root), Bars() as bars:
        with suppress(ArtifactInvalid):  # what is damaged there is no reason not to train another
            store.follow()
        outcome = run.train(engine, store.root, chosen, bars, publish=artifact.write)
        bars.step("publishing", None)
        store.upload(outcome.version)
        if promote:
            store.use(outcome.version)
        store.retain(chosen.publish.keep)
    _report(outcome)


def _report(outcome: object) -> None:
    from training.run import Outcome

    assert isinstance(outcome, Outcome)
    out = Console()
    if outcome.table:
        out.print(_table(outcome.table, f"Held-back days, {outcome.measured_on:,} customers, all items ranked"))
    else:
        out.print(f"Only {outcome.measured_on} customers to measure on: not measured; the configured blend is used.")
    out.print(outcome.note, markup=False)
    out.print("blend: " + ", ".join(f"{name} {weight:.3g}" for name, weight in outcome.blend.items()))
    out.print(", ".join(f"{name} {count:,}" for name, count in outcome.counts.items()))
    laps = ", ".join(f"{name} {spent:.1f} s" for name, spent in outcome.seconds.items())
    out.print(f"{laps}; in all {sum(outcome.seconds.values()):.1f} s")
    out.print(f"published {outcome.version} to {outcome.folder}")


def _table(rows: dict[str, dict[str, float]], title: str) -> Table:
    """Return the table of a run: with repeats allowed, and among items never bought before."""
    caption = (
        "@10; new: among items never bought before; lead of what orders the lists: paired; ±: half a 95 % interval"
    )
    regrets = any("regret@10" in row for row in rows.values())
    if regrets:
        caption += "; regret: share of what is shown that was later returned, disliked or complained about"
    table = Table(title=title, caption=caption, box=box.SIMPLE, pad_edge=False)
    for name in ("", "recall", "ndcg", "±", "new ndcg", "±", "lead", "±", *(("regret",) if regrets else ())):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for name, row in rows.items():
        cells = [f"{row['recall@10']:.4f}"]
        for metric in ("ndcg@10", "ndcg_new@10", "lead"):
            cells += [f"{row[metric]:.4f}", f"{(row[f'{metric}_high'] - row[f'{metric}_low']) / 2:.4f}"]
        if not row["lead_low"] and not row["lead_high"]:
            cells[-2:] = "", ""
        table.add_row(name, *cells, *([f"{row['regret@10']:.4f}"] if regrets else []))
    return table
