"""The command line of the training job: `python -m training …`, also installed as `recsvc-train`."""

from __future__ import annotations

import os

# implicit runs its own threads; OpenBLAS beside them would make each wait for the other. Before numpy loads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# LightGBM's threads wait for each other often; waiting in a loop would take a core from whoever else is at work.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import sqlalchemy as sa
import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from recsvc.errors import RecsvcError
from recsvc.settings import configs_folder
from recsvc.settings import load as load_settings
from recsvc.store import opening
from training.benchmark import command as benchmark

if TYPE_CHECKING:
    from training.benchmark.protocols import Rankings, Task
    from training.config import Config
    from training.progress import Progress

BAD_INPUT = 2
console = Console(stderr=True)
app = typer.Typer(add_completion=False, no_args_is_help=True, help="Train recsvc's model and publish it.")


@app.callback()
def group() -> None:
    """Train recsvc's model and publish it."""


@app.command()
def train(
    config: Annotated[Path | None, typer.Option(help="Configuration; default: configs/training.yaml.")] = None,
) -> None:
    """Train on the store and publish. Exit 0: published; 2: bad input, nothing published."""
    from training import run
    from training.config import load

    settings = load_settings()
    chosen = load(config or configs_folder() / "training.yaml")
    engine = opening.existing(settings.sql_url)
    with Bars() as bars:
        outcome = run.train(engine, settings.artifact_root, chosen, bars)
    _report(outcome)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the import files.")],
) -> None:
    """Write The Complete Journey (simulated grocery data) as import files, dated to the last seven days."""
    from datetime import UTC, datetime

    from training.demo import write_demo

    summary = write_demo(out, datetime.now(UTC))
    console.print(
        f"The Complete Journey, simulated from a grocer's patterns: {summary.items:,} items, {summary.customers:,} "
        f"customers, {summary.purchases:,} purchases, {summary.offers:,} coupons ({summary.offers_now} valid now); "
        f"dates moved by {summary.shift_weeks} weeks."
    )


class Bars:
    """Progress bars with counts and remaining time on standard error."""

    def __init__(self) -> None:
        self._bar = Bar(
            TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), console=console,
        )  # fmt: skip
        self._task: TaskID | None = None

    def __enter__(self) -> Bars:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()
        self._bar.stop()

    def step(self, name: str, total: int | None = None) -> None:
        """Begin a part of the run; the one before is done."""
        self._finish()
        self._task = self._bar.add_task(name, total=total)

    def at(self, done: int) -> None:
        """Say how much of the part is done."""
        if self._task is not None:
            self._bar.update(self._task, completed=done)

    def _finish(self) -> None:
        if self._task is None:
            return
        task = next(one for one in self._bar.tasks if one.id == self._task)
        total = task.total if task.total is not None else 1
        self._bar.update(self._task, total=total, completed=total)


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


def _recipe(task: Task, config: Config, progress: Progress) -> Rankings:
    from training.recipe import fit_and_rank

    return fit_and_rank(task, config, progress)


app.add_typer(benchmark.build(_recipe, Bars), name="benchmark")


def main() -> None:
    """Run the command line; errors of the caller become one line and exit code 2."""
    try:
        app(standalone_mode=False)
    except RecsvcError as error:
        console.print(f"error: {error.message}", markup=False, style="red", soft_wrap=True)
        sys.exit(BAD_INPUT)
    except sa.exc.DBAPIError as error:
        console.print(f"error: {opening.no_answer(error)}", markup=False, style="red", soft_wrap=True)
        sys.exit(BAD_INPUT)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        # Typer's own usage errors carry the text for the user and the exit code.
        if hasattr(error, "exit_code") and hasattr(error, "show"):
            error.show()
            sys.exit(error.exit_code)
        raise


if __name__ == "__main__":
    main()
