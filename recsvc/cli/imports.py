"""`recsvc import`: a shop's files into the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from recsvc.errors import InvalidRequest
from recsvc.flows.imports import NOUNS, import_files
from recsvc.settings import load
from recsvc.store import database, facts


def import_command(
    noun: Annotated[str, typer.Argument(help=f"What the files hold: {', '.join(NOUNS)}.")],
    files: Annotated[list[Path], typer.Argument(help="Parquet files with recsvc's own column names.")],
) -> None:
    """Read files into the store. Doing it again adds nothing twice."""
    if noun not in NOUNS:
        raise InvalidRequest(f"{noun}: must be one of {', '.join(NOUNS)}")
    engine = database.connect(load().sql_url)
    database.migrate(engine)
    facts.ensure(engine)
    columns = (
        TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"importing {noun}")
        done, known = import_files(engine, noun, files, lambda at, total: bar.update(task, completed=at, total=total))
    typer.echo(f"{noun}: {done:,} rows read" + (f", {known:,} of them were there already" if known else ""))
