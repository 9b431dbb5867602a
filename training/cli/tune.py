"""`tune`: a search for a better configuration, and what it gains on the held-back days."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from recsvc.errors import InvalidRequest
from recsvc.settings import configs_folder
from recsvc.settings import load as load_settings
from recsvc.store import opening
from training.cli.bars import Bars, console

if TYPE_CHECKING:  # optuna and numpy load only when something is tuned
    import optuna

    from training.config import Config
    from training.tune import Limits
    from training.tuned import Measured

_SHOWN = 5


def tune(
    minutes: Annotated[float, typer.Option(min=0.0, help="For the trials; the best is measured after them.")] = 30.0,
    trials: Annotated[int | None, typer.Option(min=0, help="At most so many in this call.")] = None,
    config: Annotated[Path | None, typer.Option(help="The base; default: configs/training.yaml.")] = None,
    out: Annotated[Path, typer.Option(help="Where the tuned configuration goes.")] = Path("tuned.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Search a better configuration on the days before the held-back ones, and measure it on those.

    Every trial is kept: calling again goes on. Exit 0: written; 2: bad input.
    """
    from training.config import load
    from training.tune import Limits

    base = load(config or configs_folder() / "training.yaml")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise InvalidRequest(f"--out: {out}: must be a file in a folder that is there")
    with Bars() as bars:
        found = _tuned(base, Limits(minutes * 60.0, trials), bars, _command())
    out.write_text(found.pop("text"), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps({**found, "out": str(out)}, allow_nan=False))
        return
    _report(found, out)


def _tuned(base: Config, limits: Limits, bars: Bars, command: str) -> dict[str, Any]:
    from training import given, tuned
    from training import tune as tuning

    settings = load_settings()
    read = given.read(opening.existing(settings.sql_url), base, bars)
    known = tuned.before(read.log, base)
    asked = tuning.questions(known, base)
    study_name = tuning.name(known, base)
    with tuning.opened(settings.home, study_name, base) as study:
        made = tuning.search(study, asked, base, limits, bars, lambda trial: _say(trial, bars))
        tried = study.get_trials(deepcopy=False)
    complete = [one for one in tried if one.state.name == "COMPLETE"]
    best = max(complete, key=lambda one: one.value or 0.0, default=None)
    chosen = base if best is None else tuning.configuration(best)
    changed = tuned.differences(base, chosen)
    measured = tuned.measure(read, base, chosen, bars) if changed else None
    done = sum(one.state.name in {"COMPLETE", "PRUNED"} for one in tried)
    top = tuned.head(command, datetime.now(UTC), study_name, done, measured)
    return {
        "study": study_name, "made": made, "trials": [_trial(one) for one in tried],
        "best": None if best is None else best.number, "verdict": _verdict(measured, bool(changed)),
        "measured": None if measured is None else asdict(measured),
        "changed": {field: {"base": old, "tuned": new} for field, (old, new) in changed.items()},
        "text": tuned.written(base, chosen, top),
    }  # fmt: skip


def _verdict(measured: Measured | None, changed: bool) -> str:
    if not changed:
        return "base"
    return "not measured" if measured is None else measured.gains["both"].verdict


def _trial(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    return {
        "number": trial.number, "state": trial.state.name.lower(), "value": trial.value, "params": trial.params,
        "seconds": trial.duration.total_seconds() if trial.duration else None,
    }  # fmt: skip


def _say(trial: optuna.trial.FrozenTrial, bars: Bars) -> None:
    bars.clear()
    one = _trial(trial)
    value = f"{one['value']:.4f}" if one["value"] is not None else "none"
    console.print(f"trial {one['number']}: {one['state']}, {value}, {one['seconds'] or 0:.0f} s", highlight=False)


def _command() -> str:
    return " ".join(["python -m training", *sys.argv[1:]])


def _report(found: dict[str, Any], out: Path) -> None:
    to = Console()
    complete = sorted((one for one in found["trials"] if one["state"] == "complete"), key=lambda one: -one["value"])
    to.print(_table(found, complete))
    pruned = sum(one["state"] == "pruned" for one in found["trials"])
    to.print(f"{found['made']} trials now; in the study {found['study']} {len(complete)} complete, {pruned} pruned")
    for line in _conclusion(found):
        to.print(line, highlight=False)
    to.print(f"written to {out}", markup=False)


def _conclusion(found: dict[str, Any]) -> list[str]:
    from training.tuned import VERDICTS, Gain

    if found["verdict"] == "base":
        return ["No trial was better than the base: no field differs."]
    lines = [f"{name}: {change['base']} → {change['tuned']}" for name, change in found["changed"].items()]
    if found["measured"] is None:
        return [*lines, "Not measured: too few customers bought something on the held-back days."]
    gains = {name: Gain(**gain) for name, gain in found["measured"]["gains"].items()}
    told = f"{VERDICTS[found['verdict']]} ({found['measured']['customers']:,} customers)"
    return [*lines, told, *(f"  {name}: {gain}" for name, gain in gains.items())]


def _table(found: dict[str, Any], complete: list[dict[str, Any]]) -> Table:
    """Return the best trials and the base, with what they were made of."""
    caption = "value: ndcg@10 of all items plus that of never-bought ones, on the hold-out; trial 0 is the base"
    table = Table(title="Best trials", caption=caption, box=box.SIMPLE, pad_edge=False)
    shown = complete[:_SHOWN] + [one for one in complete[_SHOWN:] if one["number"] == 0]
    table.add_column("")
    for one in shown:
        table.add_column(f"trial {one['number']}", justify="right")
    table.add_row("value", *(f"{one['value']:.4f}" for one in shown))
    table.add_row("seconds", *(f"{one['seconds']:.0f}" for one in shown))
    for field in shown[0]["params"] if shown else []:
        table.add_row(field, *(f"{one['params'][field]:.4g}" for one in shown))
    return table
