"""Sales and channels of the store, on SQLite and on Postgres alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from recsvc.store import customers, interactions, sales, sessions
from recsvc.store.database import writing
from tests.planted import interaction

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY = int(NOW.timestamp() // 86400)


def _put(engine: sa.Engine, *rows: tuple[Any, ...]) -> None:
    interactions.append_many(engine, list(rows))


def test_orders_count_once_a_customer_and_day_net_of_what_came_back(engine: sa.Engine) -> None:
    day = timedelta(days=1)
    _put(engine, interaction("old", "tea", "purchase", NOW, order_id="0"))
    before = interactions.newest_revision(engine)
    _put(
        engine,
        interaction("a", "tea", "purchase", NOW, order_id="1"), interaction("a", "tea", "purchase", NOW, order_id="2"),
        interaction("b", "tea", "purchase", NOW, order_id="3"), interaction("b", "tea", "view", NOW),
        interaction("b", "tea", "return", NOW + day, order_id="3"),
        interaction(None, "tea", "purchase", NOW, order_id="4"), interaction(None, "tea", "purchase", NOW, order_id="5"),
        interaction("c", "milk", "purchase", NOW - day, order_id="6"), interaction("d", "milk", "cancel", NOW, order_id="7"),
    )  # fmt: skip
    revision, found = sales.since(engine, before)
    assert revision == interactions.newest_revision(engine) == before + 9
    assert sorted(found) == [("milk", TODAY - 1, 1), ("milk", TODAY, -1), ("tea", TODAY, 4), ("tea", TODAY + 1, -1)]
    assert sales.since(engine, revision) == (revision, [])


def test_who_wants_no_profile_does_not_count(engine: sa.Engine) -> None:
    customers.put(engine, [{"customer_id": "a", "attributes": {}, "profiling": False}])
    _put(engine, interaction("a", "tea", "purchase", NOW), interaction("b", "tea", "purchase", NOW))
    assert sales.since(engine, 0)[1] == [("tea", TODAY, 1)]


def test_channels_are_those_through_which_the_customer_did_something(engine: sa.Engine) -> None:
    _put(
        engine,
        interaction("a", "tea", "view", NOW, channel="web"), interaction("a", None, "email_open", NOW, channel="email"),
        interaction("a", None, "unsubscribe", NOW, channel="sms"), interaction("a", "tea", "click", NOW),
        interaction("b", "tea", "view", NOW, channel="app"),
        interaction(None, "tea", "view", NOW, channel="store", session_id="s"),
    )  # fmt: skip
    with writing(engine) as connection:
        sessions.assign(connection, "s", "a", 99)
    with engine.connect() as connection:
        found = interactions.channels(connection, "a", ("unsubscribe",))
    assert sorted(name for name, _ in found) == ["email", "store", "web"]


def test_what_a_customer_declared_is_their_segment_and_preferences(engine: sa.Engine) -> None:
    row = {"customer_id": "a", "attributes": {}, "segment": "tea", "preferences": ["green", "black"]}
    customers.put(engine, [row, {"customer_id": "b", "attributes": {}}])
    assert customers.declared(engine, "a") == ("tea", ["green", "black"])
    assert customers.declared(engine, "b") == customers.declared(engine, "nobody") == (None, [])
