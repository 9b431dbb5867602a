"""Rules and placements in the store, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa

from recsvc.store import database, facts, postgres, rules
from recsvc.store.keyfile import KeyFile
from recsvc.store.live import Live
from tests.conftest import DATABASES
from tests.postgres import Postgres

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def _rule(rule_id: str, **more: Any) -> dict[str, Any]:
    row = {"rule_id": rule_id, "placement": None, "action": "exclude", "match": {"brand": {"eq": "ä"}}, "factor": None}
    return row | {"slot": None, "starts_at": None, "ends_at": None, "priority": 0} | more


def test_what_is_put_is_replaced_whole_and_found_in_order_of_id(engine: sa.Engine) -> None:
    with database.writing(engine) as connection:
        for name in ("b", "a", "Z", "ä"):
            rules.put(connection, rules.rules, _rule(name, placement="cart"))
        rules.put(connection, rules.rules, _rule("a", factor=0.1, starts_at=2**60))
    with database.reading(engine) as connection:
        assert rules.names(connection, rules.rules) == ["Z", "a", "b", "ä"]
        assert rules.names(connection, rules.rules, rules.rules.c.placement == "cart") == ["Z", "b", "ä"]
        assert rules.get(connection, rules.rules, "a") == _rule("a", factor=0.1, starts_at=2**60)
        assert rules.get(connection, rules.rules, "A") is None and rules.count(connection, rules.rules) == 4
        assert list(rules.rows(connection, rules.rules)) == ["Z", "a", "b", "ä"]


def test_live_state_follows_the_change_number(engine: sa.Engine) -> None:
    live = Live(engine, KeyFile(None))
    catalogue = live.state.catalogue
    with database.writing(engine) as connection:
        rules.put(connection, rules.rules, _rule("a"))
    assert live.refresh().rules.rules["a"].match == {"brand": {"eq": "ä"}}
    assert live.state.rules.change == live.state.facts.rules == 1 and live.state.catalogue is catalogue
    known = live.state.rules
    with database.writing(engine) as connection:
        assert not rules.delete(connection, rules.rules, "b")
    assert live.refresh().rules is known
    with database.writing(engine) as connection:
        assert rules.delete(connection, rules.rules, "a")
    assert live.refresh().rules.rules == {} and live.state.rules.change == 2


@pytest.mark.parametrize("kind", DATABASES)
def test_a_shop_from_before_has_no_rules_and_counts_from_nought(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    if kind == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.url(server.create())
    engine = database.connect(url)
    database.make_file(engine)
    _upgrade(engine, "0002")
    with engine.begin() as connection:
        for name, value in (("database_id", "x"), ("customer_secret", "00"), ("catalogue", "7"), ("keys", "3")):
            connection.execute(sa.insert(facts.facts).values(name=name, value=value))
        connection.execute(sa.insert(facts.facts).values(name="cache_epoch", value="1"))
    database.migrate(engine)
    assert facts.read(engine).rules == 0
    with database.writing(engine) as connection:
        rules.put(connection, rules.rules, _rule("a"))
    assert facts.read(engine).rules == 1 and facts.read(engine).catalogue == 7
    engine.dispose()


def _upgrade(engine: sa.Engine, revision: str) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    with engine.connect().execution_options(immediate=True) as connection:
        if engine.dialect.name == "postgresql":
            postgres.before_migration(connection)
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, revision)
        connection.commit()
