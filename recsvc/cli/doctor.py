"""`recsvc doctor`: looks at the whole installation, changes nothing, and says what to do about each finding."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import sqlalchemy as sa
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsvc import logs
from recsvc.cli import machine, serve
from recsvc.errors import InvalidRequest
from recsvc.flows import checks
from recsvc.flows.checks import FAIL, OK, WARN, Finding
from recsvc.settings import Settings
from recsvc.store import database, inventory, keys
from recsvc.store.keyfile import KeyFile

_COLOURS = {OK: "green", WARN: "yellow", FAIL: "red"}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """Check the whole installation. Exit 0: nothing failed; 1: something did. Changes nothing."""
    logs.configure()  # to standard error: the findings alone are on standard output
    try:
        found = list(examine(Settings(), time.time()))
    except ValidationError as error:
        wrong = "; ".join(f"RECSVC_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors())
        found = [Finding("settings", FAIL, wrong, "correct the variable; see Settings in the README")]
    if as_json:
        typer.echo(json.dumps({"findings": [asdict(one) for one in found], **_tally(found)}, indent=1))
    else:
        _show(found)
    sys.exit(1 if any(one.level == FAIL for one in found) else 0)


def examine(settings: Settings, now: float) -> Iterator[Finding]:
    """Yield all findings, what stands on nothing else first."""
    home = settings.home.absolute()
    yield machine.python()
    yield machine.packages()
    yield machine.configs()
    yield machine.open_files()
    yield machine.home(home)
    yield machine.disk(home)
    yield machine.cache(settings)
    yield machine.port(settings, serve.address(settings), machine.is_free(serve.check_port, settings))
    yield from machine.key_file(settings.admin_key_file)
    yield from _store(settings, now)


def _store(settings: Settings, now: float) -> Iterator[Finding]:
    """Yield what the database and the model say."""
    engine, finding = _open(settings)
    yield finding
    if engine is None:
        yield checks.clock(None, now)
        yield checks.model(settings.artifact_root, None, now)
        return
    try:
        yield from _database(engine, settings, now)
    except sa.exc.SQLAlchemyError as error:
        advice = "stop what holds it, look at the disk, then run this again"
        yield Finding("database", FAIL, f"a check ended early: {type(error).__name__}", advice)
    finally:
        engine.dispose()


def _database(engine: sa.Engine, settings: Settings, now: float) -> Iterator[Finding]:
    schema = checks.schema(engine)
    yield schema
    file = inventory.file_of(settings.sql_url)
    if file is not None:
        yield checks.integrity(engine)
        yield checks.wal(file)
    if schema.level != OK:
        return
    yield checks.model(settings.artifact_root, checks.database_id(engine), now)
    counts = inventory.counts(engine)
    yield checks.clock(counts.newest, now)
    yield checks.events(counts, now)
    yield from checks.catalogue(counts)
    exposed, key_file = machine.exposed(settings.host), KeyFile(settings.admin_key_file).read() is not None
    yield from checks.key_findings(keys.listing(engine), exposed, key_file, now)


def _open(settings: Settings) -> tuple[sa.Engine | None, Finding]:
    """Return the database when it is there, without making one."""
    try:
        file = inventory.file_of(settings.sql_url)
        if file is not None and not file.exists():
            advice = "recsvc import items FILE makes it; or set RECSVC_HOME to where it is"
            return None, Finding("database", WARN, "does not exist yet", advice)
        engine = database.connect(settings.sql_url)
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
            name = engine.dialect.name
    except (InvalidRequest, sa.exc.SQLAlchemyError, OSError) as error:
        why = error.message if isinstance(error, InvalidRequest) else type(error).__name__
        return None, Finding("database", FAIL, f"cannot be reached: {why}", "correct RECSVC_DATABASE_URL or start it")
    return engine, Finding("database", OK, f"{name} answers")


def _show(found: list[Finding]) -> None:
    table = Table("", "", "found", "what to do", box=None, pad_edge=False)
    for one in found:
        table.add_row(f"[{_COLOURS[one.level]}]{one.level}[/]", one.name, escape(one.found), escape(one.advice))
    console = Console(highlight=False)
    console.print(table)
    console.print(", ".join(f"{count} {level}" for level, count in _tally(found).items()))


def _tally(found: list[Finding]) -> dict[str, int]:
    return {level.lower(): sum(one.level == level for one in found) for level in (OK, WARN, FAIL)}
