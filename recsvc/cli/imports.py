"""`recsvc import`: a shop's files into the store."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from recsvc.errors import InvalidRequest
from recsvc.flows.imports import NOUNS, Order, Outcome, import_files
from recsvc.settings import Settings
from recsvc.store import maps, opening
from recsvc.store.columns import COLUMNS
from recsvc.store.guess import guess_map

app = typer.Typer(no_args_is_help=True, help="A shop's files into the store. Doing it again adds nothing twice.")

Files = Annotated[
    list[Path], typer.Argument(help="CSV, JSON lines or Parquet, also .gz and .zst, folders of them, or - for a pipe.")
]
MapFile = Annotated[
    Path | None, typer.Option("--map", help="How foreign columns are to be read: YAML, as `import guess` writes it.")
]
Zone = Annotated[
    str | None, typer.Option(help="Of times that do not say their own, as Europe/Bucharest; over the map's.")
]
_RejectsFile = Annotated[
    Path | None, typer.Option("--rejects", help="Where refused rows go, as JSON lines; else beside each file.")
]
_Dry = Annotated[bool, typer.Option("--dry-run", help="Check everything, write nothing.")]


@app.callback()
def group() -> None:
    """A shop's files into the store. Doing it again adds nothing twice."""


@app.command()
def guess(
    file: Annotated[Path, typer.Argument(help="A file of unknown shape.")],
    out: Annotated[Path | None, typer.Option(help="Write the map here instead of printing it.")] = None,
) -> None:
    """Read the head of a file and write the map it would be read with, with the reason of each decision."""
    text = guess_map(file)
    if out is None:
        typer.echo(text, nl=False)
        return
    out.write_text(text, encoding="utf-8")
    typer.echo(f"{out}: written; look at it, then recsvc import interactions {file} --map {out}")


def _command(noun: str) -> Callable[..., None]:
    def run(
        files: Files, map_file: MapFile = None, time_zone: Zone = None, rejects: _RejectsFile = None, dry: _Dry = False
    ) -> None:
        a_map = load_map(map_file, time_zone)
        order = Order(noun, files, a_map, datetime.now(UTC), rejects, dry)
        engine = None if dry else opening.made(Settings().sql_url)
        with progress(f"{'checking' if dry else 'importing'} {noun}") as show:
            outcome = import_files(engine, order, show)
        _report(order, outcome)

    run.__doc__ = f"Read {noun} into the store."
    return run


for _noun in NOUNS:
    app.command(_noun)(_command(_noun))


def load_map(path: Path | None, time_zone: str | None) -> maps.Map:
    """Return the map of the options."""
    return (maps.load(path, COLUMNS) if path else maps.Map()).in_zone(time_zone)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int, int | None], None]]:
    """Yield what is to be called with (rows done, bytes done, bytes in all or None)."""
    columns = (
        TextColumn("{task.description:<24}"), BarColumn(), TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows"), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None, rows=0)
        yield lambda rows, done, total: bar.update(task, completed=done, total=total, rows=rows)


def _report(order: Order, outcome: Outcome) -> None:
    parts = [f"{order.noun}: {outcome.read:,} rows read"]
    if outcome.objects and outcome.objects != outcome.read:
        parts.append(f"{outcome.objects:,} different {order.noun}")
    if outcome.known:
        parts.append(f"{outcome.known:,} of them were there already")
    if outcome.left_out:
        parts.append(f"{outcome.left_out:,} left out by the map")
    if outcome.rejected:
        parts.append(f"{outcome.rejected:,} rejected")
    typer.echo(", ".join(parts) + ("; nothing was written (--dry-run)" if order.dry_run else ""))
    for (column, reason), count in outcome.reasons.most_common(10):
        typer.echo(f"  {count:,} × {f'{column}: ' if column else ''}{reason}", err=True)
    for path in outcome.rejects:
        typer.echo(f"  each with its reason in {path}", err=True)
    if outcome.rejected and outcome.rejected + outcome.left_out == outcome.read:
        raise InvalidRequest(f"{', '.join(str(path) for path in order.paths)}: no row could be taken")
    sys.stdout.flush()
