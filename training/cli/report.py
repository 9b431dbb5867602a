"""`report`: one page about a published version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recsvc.errors import InvalidRequest
from recsvc.settings import load as load_settings


def report(
    version: Annotated[str, typer.Argument(help="A published version, or `current`.")] = "current",
    out: Annotated[Path | None, typer.Option(help="The file to write; default: report-VERSION.html here.")] = None,
) -> None:
    """Write one HTML file about a published version, for a pull request or for a shop's engineer."""
    from recsvc.store import published
    from training import compare
    from training.report import page

    store = published.opened(load_settings())
    chosen = compare.resolve(store, version)
    path = out or Path(f"report-{chosen}.html")
    text = page.render(store.fetch(chosen))
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}") from None
    typer.echo(f"{path}: {path.stat().st_size / 1000:,.0f} kB about {chosen}")
