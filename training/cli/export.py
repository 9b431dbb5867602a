"""`export-matrix`: what training learns from, for notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recsvc.errors import InvalidRequest
from recsvc.settings import configs_folder
from recsvc.settings import load as load_settings
from recsvc.store import opening
from training.cli.bars import Bars


def export_matrix(
    out: Annotated[Path, typer.Option(help="Folder for the four files; made where there is none.")],
    config: Annotated[Path | None, typer.Option(help="Configuration; default: configs/training.yaml.")] = None,
) -> None:
    """Write the customers × items matrix, its customers and items, and the interactions, for notebooks.

    The files hold customer ids, which an artifact does not. Exit 0: written; 2: bad input.
    """
    from training import export, given
    from training.config import load

    chosen = load(config or configs_folder() / "training.yaml")
    engine = opening.existing(load_settings().sql_url)
    with Bars() as bars:
        found = given.read(engine, chosen, bars)
        titles = {item_id: row.title for item_id, row in found.catalogue.items.items()}
        bars.step("writing")
        try:
            done = export.export(found.log, chosen, titles, out)
        except OSError as error:
            raise InvalidRequest(f"--out: {out}: {error.strerror}") from None
    typer.echo(
        f"{out}: matrix.npz, {done.customers:,} customers × {done.items:,} items, {done.entries:,} entries; "
        f"customers.parquet, items.parquet, interactions.parquet ({done.interactions:,})"
    )
