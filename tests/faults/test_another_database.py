"""Another database where the shop's was: refused while the service runs, whoever made it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from recsvc.store import database, facts, opening
from tests.conftest import Place, on_both, until
from tests.faults.test_database import LIST

VIEW = {"interaction_id": "v", "customer_id": "c3", "kind": "view", "item_id": "tea-05"}


def _away(service: Any) -> bool:
    return bool(
        service.ask("POST", "/v1/interactions", VIEW)[0] == 503
        and service.ask("GET", "/readyz")[2]["database"] == "away"
        and service.ask("GET", LIST)[1].get("X-Degraded") == "database"
    )


def test_a_new_file_in_the_place_of_the_shops_is_away(place: Place, serve: Any) -> None:
    service = serve(redis_url="off")
    assert service.ask("POST", "/v1/interactions", {**VIEW, "interaction_id": "u"})[0] == 200
    file, aside = place.home / "recsvc.db", place.home / "aside"
    _move(file, aside)
    opening.made(place.settings.sql_url).dispose()
    # Each worker finds out for itself, within a poll: five times in a row, both have.
    until(lambda: all(_away(service) for _ in range(5)))
    until(lambda: service.ask("GET", "/v1/items/tea-05")[0] == 503)
    _move(file, place.home / "another")
    _move(aside, file)
    until(lambda: all(service.ask("GET", LIST)[1].get("X-Degraded") is None for _ in range(5)))
    # A run of answers may all be one worker's: the other has a poll more.
    until(lambda: service.ask("POST", "/v1/interactions", VIEW)[2].get("accepted") == 1)


def _move(file: Path, to: Path) -> None:
    """Move a database with its log: a log that is left behind is read into whatever stands in the file's place."""
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            file.with_name(file.name + suffix).rename(to.with_name(to.name + suffix))


@on_both
def test_an_identity_that_changes_is_away_until_it_is_back(place: Place, serve: Any) -> None:
    service = serve(redis_url="off")
    engine = database.connect(place.settings.sql_url, quick_seconds=10)
    own = facts.read(engine).database_id
    _name(engine, "another")
    until(lambda: _away(service))
    _name(engine, own)
    engine.dispose()
    until(lambda: all(service.ask("POST", "/v1/interactions", VIEW)[0] == 200 for _ in range(5)))
    until(lambda: all(service.ask("GET", LIST)[1].get("X-Degraded") is None for _ in range(5)))


def _name(engine: sa.Engine, name: str) -> None:
    with database.writing(engine) as connection:
        connection.execute(sa.update(facts.facts).where(facts.facts.c.name == "database_id").values(value=name))


def test_a_database_without_tables_is_refused(place: Place) -> None:
    engine = database.connect(place.settings.sql_url)
    facts.hold_to(engine, lambda: "what it was")
    with pytest.raises(sa.exc.OperationalError), engine.connect():
        pass
    engine.dispose()
