"""`recsvc validate`: what is to be known of files before they are imported."""

from __future__ import annotations

from datetime import UTC, datetime

import typer
from rich.console import Console

from recsvc.cli.imports import Files, MapFile, Zone, load_map, progress
from recsvc.flows import verdicts
from recsvc.settings import Settings
from recsvc.store import live, opening

_COLOURS = {verdicts.PASS: "green", verdicts.WARN: "yellow", verdicts.FAIL: "red"}


def validate(files: Files, map_file: MapFile = None, time_zone: Zone = None) -> None:
    """Check files that would be imported together: PASS, WARN or FAIL for each question. Exit 1 on a FAIL."""
    engine = opening.found(Settings().sql_url)
    # Before the first import there is no catalogue but the files'; that is no reason to begin a database.
    known = set(live.load_catalogue(engine, 0).items) if engine else set()
    with progress("checking") as show:
        found = verdicts.validate(files, load_map(map_file, time_zone), known, datetime.now(UTC), show)
    out = Console(highlight=False, soft_wrap=True)
    for one in found:
        out.print(f"{one.level}  {one.what}: {one.found}", style=_COLOURS[one.level], markup=False)
        for sample in one.samples:
            out.print(f"      {sample}", markup=False)
    if any(one.level == verdicts.FAIL for one in found):
        raise typer.Exit(1)
