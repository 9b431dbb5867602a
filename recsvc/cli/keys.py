"""`recsvc keys`: API keys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from recsvc.settings import load
from recsvc.store import database, facts, keys

app = typer.Typer(no_args_is_help=True, help="API keys.")


@app.callback()
def group() -> None:
    """API keys."""


@app.command()
def create(name: Annotated[str, typer.Option(help="What it is for; shown in lists of keys.")] = "storefront") -> None:
    """Make a key and print it. It is shown this once; only its hash is kept."""
    engine = database.connect(load().sql_url)
    database.migrate(engine)
    facts.ensure(engine)
    typer.echo(keys.create(engine, name, datetime.now(UTC)))
