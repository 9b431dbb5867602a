"""What a customer's karma is made of, on SQLite and on Postgres alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from recsvc.flows.karma import standing
from recsvc.intake import digest
from recsvc.store import interactions, karma, sessions, surveys
from recsvc.store.database import writing
from tests.planted import append_one, interaction

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def _told(engine: sa.Engine, customer_id: str | None, kind: str, at: datetime, ref: str | None, **more: object) -> None:
    details = {"ref": ref, "subject": "late"} if ref else None
    row = interaction(customer_id, None, kind, at, interaction_id=f"{customer_id}-{kind}-{at}-{ref}", **more)
    with writing(engine) as connection:
        append_one(connection, dict(zip(interactions.COLUMNS, row, strict=True)) | {"details": details})


def _answered(engine: sa.Engine, customer_id: str, kind: str, score: int, at: datetime) -> None:
    row = {"digest": digest(f"{customer_id}{kind}{at}"), "customer_id": customer_id, "kind": kind, "score": score,
           "occurred_at": int(at.timestamp() * 1e6), "channel": None, "comment": None, "about": None}  # fmt: skip
    with writing(engine) as connection:
        surveys.append(connection, [row])


def test_a_customers_standing_is_read_with_its_parts(engine: sa.Engine) -> None:
    _told(engine, "a", "complaint", NOW - 2 * DAY, "t1")
    _told(engine, "a", "delivery_late", NOW, "o1")
    _told(engine, "b", "complaint", NOW, "t9")
    _answered(engine, "a", "nps", 3, NOW - 30 * DAY)
    found = standing(engine, "a", NOW.timestamp())
    assert [(one.code, one.points, one.ref) for one in found.parts] == [
        ("delivery_late", -2.0, "o1"), ("complaint", -4.0, "t1"), ("detractor", -1.5, None),
    ]  # fmt: skip
    assert found.value == pytest.approx(-7.5) and found.open_complaint
    _told(engine, "a", "complaint_resolved", NOW, "t1")
    with engine.connect() as connection:
        assert standing(connection, "a", NOW.timestamp()).value == pytest.approx(-3.5)
    assert standing(engine, "nobody", NOW.timestamp()).value == 0.0


def test_what_a_merged_session_complained_of_is_the_customers(engine: sa.Engine) -> None:
    _told(engine, None, "complaint", NOW, None, session_id="s")
    assert standing(engine, "a", NOW.timestamp()).value == 0.0
    with writing(engine) as connection:
        sessions.assign(connection, "s", "a", 99)
    assert standing(engine, "a", NOW.timestamp()).value == -4.0


def test_what_was_told_is_found_without_reading_all_that_the_customer_did(engine: sa.Engine) -> None:
    rows = [interaction("a", "tea", "view", NOW - n * timedelta(seconds=1)) for n in range(5000)]
    rows += [interaction(f"c{n}", "tea", "view", NOW) for n in range(5000)]
    interactions.append_many(engine, rows)
    _told(engine, "a", "complaint", NOW, "t1")
    with engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE interactions")
        plan = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
        asked = karma._OWN.params(customer="a").compile(engine, compile_kwargs={"literal_binds": True})
        told = " ".join(str(row) for row in connection.exec_driver_sql(plan + str(asked)))
    assert "interactions_told" in told, told
