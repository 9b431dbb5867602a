"""Reading and the matrix: weights as in `concepts`, one line per order, sales net of returns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from recsvc.concepts import KINDS, interaction_weight, rejects
from recsvc.engine.history import DAY
from recsvc.errors import InvalidRequest, Unavailable
from recsvc.store import customers, database, interactions, sessions
from tests.planted import append_one, interaction, small
from tests.postgres import Postgres
from training import fit, given
from training import matrix as matrices
from training.sources import Log, from_store, from_table

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def _log(*rows: tuple[str, str, str, float, str | None], **more: Any) -> Log:
    """rows: customer, item, kind, days ago, order id."""
    names = ["customer_id", "item_id", "kind", "at", "order_id"]
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    table = pa.table({
        "customer_id": columns["customer_id"], "item_id": columns["item_id"], "kind": columns["kind"],
        "occurred_at": [int((NOW - timedelta(days=ago)).timestamp() * 1e6) for ago in columns["at"]],
        "stars": pa.array(more.get("stars", [None] * len(rows)), pa.int64()),
        "reason": pa.array(more.get("reason", [None] * len(rows)), pa.string()),
        "order_id": pa.array(columns["order_id"], pa.string()),
        "quantity": pa.array(more.get("quantity", [None] * len(rows)), pa.int64()),
    })  # fmt: skip
    return from_table(table, {})


def test_vectorised_weights_equal_the_one_rule() -> None:
    cases: list[tuple[str, int | None, str | None]] = [(kind, None, None) for kind in KINDS]
    cases += [("review", stars, None) for stars in range(1, 6)]
    cases += [("return", None, reason) for reason in ("wrong_size", "defective", "disliked", "other")]
    log = _log(
        *[("c", f"i{n:02}", kind, 1.0, None) for n, (kind, _, _) in enumerate(cases)],
        stars=[stars for _, stars, _ in cases], reason=[reason for *_, reason in cases],
    )  # fmt: skip
    assert log.events.weights.tolist() == [interaction_weight(kind, stars, why, {}) for kind, stars, why in cases]
    assert log.events.rejections.tolist() == [rejects(kind, why) for kind, _, why in cases]


def test_the_store_and_the_table_give_one_log(engine: sa.Engine) -> None:
    """On both databases, nothing but NULL in the first rows and every kind of value later."""
    rows = [interaction("c", f"i{n}", "view", NOW, interaction_id=f"v{n}") for n in range(3000)]
    rows += [interaction("c", None, "store_visit", NOW), interaction("d😀", "i'0", "view", NOW)]
    interactions.append_many(engine, rows)
    late = [
        interaction("c", f"i{n}", kind, NOW - timedelta(days=n), order_id=order, stars=stars, reason=reason)
        for n, (kind, order, stars, reason) in enumerate(
            [("purchase", "o1", None, None), ("purchase", "o1", None, None), ("purchase", None, None, None),
             ("review", None, 1, None), ("review", None, 5, None), ("return", "o1", None, "wrong_size"),
             ("return", "ä", None, "defective")]
        )
    ]  # fmt: skip
    interactions.append_many(engine, late)
    log = from_store(engine, {"view": 9.0}, interactions.newest_revision(engine))
    names = ("customer_id", "item_id", "kind", "occurred_at", "stars", "reason", "order_id", "quantity")
    t = interactions.interactions.c
    with engine.connect() as connection:
        stored = connection.execute(
            sa.select(*(t[name] for name in names)).where(t.item_id.is_not(None)).order_by(t.revision)
        ).all()
    columns = {name: [getattr(row, name) for row in stored] for name in names}
    types = {"stars": pa.int64(), "reason": pa.string(), "order_id": pa.string(), "quantity": pa.int64()}
    wanted = from_table(
        pa.table({name: pa.array(values, types.get(name)) for name, values in columns.items()}), {"view": 9.0}
    )
    assert len(log) == 3008 and (log.customer_ids, log.item_ids) == (wanted.customer_ids, wanted.item_ids)
    for name in ("item_rows", "weights", "at", "purchases", "rejections", "orders"):
        assert np.array_equal(getattr(log.events, name), getattr(wanted.events, name)), name
    assert np.array_equal(log.customers, wanted.customers) and np.array_equal(log.returned, wanted.returned)
    assert log.events.weights.max() == 9.0


def test_only_what_came_up_to_a_revision_is_read(engine: sa.Engine) -> None:
    assert len(from_store(engine, {}, 10)) == 0
    numbers = []
    for n in range(4):
        with database.writing(engine) as connection:
            row = dict(zip(interactions.COLUMNS, interaction("c", f"i{n}", "view", NOW), strict=True))
            numbers.append(append_one(connection, row))
        # What is written after a bulk read must not go to a log that the reader removed.
        assert len(from_store(engine, {}, numbers[-1] or 0)) == n + 1
    steps: list[int] = []
    assert from_store(engine, {}, numbers[1] or 0, steps.append).item_ids == ["i0", "i1"] and steps[-1] == 2


def test_merged_sessions_are_read_and_who_wants_no_profile_is_not(engine: sa.Engine) -> None:
    rows = [interaction(who, f"i-{who}", "view", NOW) for who in ("c", "silent")]
    rows += [_in_session("merged", "i-merged"), _in_session("nobody", "i-nobody"), _in_session("hushed", "i-hushed")]
    interactions.append_many(engine, rows)
    customers.put(engine, [{"customer_id": "silent", "segment": None, "attributes": {}, "profiling": False}])
    with database.writing(engine) as connection:
        sessions.assign(connection, "merged", "d", 9)
        sessions.assign(connection, "hushed", "silent", 9)
    log = from_store(engine, {}, interactions.newest_revision(engine))
    assert sorted(log.customer_ids) == ["c", "d"] and sorted(log.item_ids) == ["i-c", "i-merged", "i-nobody"]
    assert [log.item_ids[code] for code in log.events.item_rows[log.customers < 0]] == ["i-nobody"]


def _in_session(session: str, item: str) -> tuple[Any, ...]:
    row = dict(zip(interactions.COLUMNS, interaction(session, item, "view", NOW), strict=True))
    return tuple((row | {"customer_id": None, "session_id": session}).values())


def test_a_bulk_read_beside_an_open_database_loses_nothing(database_url: str, engine: sa.Engine) -> None:
    """Two copies of SQLite in one process would remove the log that the other writes to."""
    for n in range(5):
        interactions.append_many(engine, [interaction("c", f"i{n}", "view", NOW)])
        from_store(engine, {}, 10**9)
    other = database.connect(database_url, quick_seconds=10)
    assert len(from_store(other, {}, 10**9)) == 5 == len(interactions.since(other, "c", 0).rows)
    other.dispose()


def test_a_database_that_cannot_be_read_is_said_so(tmp_path: Path, postgres: Postgres) -> None:
    (tmp_path / "x.db").write_bytes(b"no database" * 1000)
    for url in (f"sqlite:///{tmp_path / 'x.db'}", postgres.url("nowhere")):
        engine = database.connect(url)
        with pytest.raises(Unavailable, match="cannot be read"):
            from_store(engine, {}, 1)
        engine.dispose()


def test_sales_count_orders_net_of_returns() -> None:
    log = _log(
        ("c", "a", "purchase", 1, "o1"), ("c", "a", "purchase", 1, "o1"), ("d", "a", "purchase", 1, "o2"),
        ("d", "a", "return", 0, "o2"), ("d", "b", "view", 0, None),
    )  # fmt: skip
    matrix = matrices.build(log, small())
    total = np.bincount(matrix.sale_rows, matrix.sale_orders, 2)
    assert dict(zip([log.item_ids[code] for code in matrix.item_codes], total, strict=True)) == {"a": 1.0, "b": 0.0}
    assert (np.diff(matrix.sale_days) >= 0).all()


def test_confidence_is_signed_and_aged() -> None:
    log = _log(("c", "new", "purchase", 0, "1"), ("c", "old", "purchase", 180, "2"), ("c", "bad", "dislike", 0, None))
    matrix = matrices.build(log, small())
    dense = matrices.confidence(matrix, 5.0).toarray()[0]
    by_id = dict(zip([log.item_ids[code] for code in matrix.item_codes], dense, strict=True))
    assert by_id["new"] == pytest.approx(1 + 5 * np.log1p(5.0))
    assert by_id["old"] == pytest.approx(1 + 5 * np.log1p(2.5))
    assert by_id["bad"] == pytest.approx(-(1 + 5 * np.log1p(5.0)))


def test_a_split_by_time_shares_no_moment() -> None:
    log = _log(*[("c", "a", "purchase", day, str(day)) for day in range(10)])
    edge = NOW.timestamp() - 4.5 * DAY
    before, after = log.between(0, edge), log.between(edge, 1e12)
    assert len(before) + len(after) == 10 and before.events.at.max() < edge <= after.events.at.min()


def test_orders_without_a_customer_teach_what_goes_together_and_nothing_else(engine: sa.Engine) -> None:
    """On both databases, nobody in the first rows and a name later."""
    rows = []
    for n in range(4):  # four orders of nobody with a and b, and enough others that the pair is no chance
        rows += [interaction(None, item, "purchase", NOW, order_id=f"o{n}") for item in ("a", "b")]
        rows += [interaction(None, f"other{n}{m}", "purchase", NOW, order_id=f"p{n}{m}") for m in range(9)]
    interactions.append_many(engine, rows)
    named = [interaction("c", "a", "purchase", NOW, order_id="c1"), interaction("c", "z", "view", NOW)]
    interactions.append_many(engine, named)
    log = from_store(engine, {}, interactions.newest_revision(engine))
    matrix, found = fit.arrays(log, small())
    assert log.customer_ids == ["c"] and matrix.shape[0] == 1 and len(matrix.of(0)) == 2
    rows_of = {log.item_ids[code]: row for row, code in enumerate(matrix.item_codes)}
    assert found["together_rows"][rows_of["a"]][0] == rows_of["b"]
    assert found["popularity"][rows_of["a"]] == 5.0
    given.check(log)
    with pytest.raises(InvalidRequest, match="names a customer"):
        nobody = np.full(len(log), -1, np.int32)
        given.check(Log([], log.item_ids, nobody, log.events, log.returned, log.regretted))


def test_one_household_is_one_witness_however_many_orders(tmp_path: Path) -> None:
    orders = [("c", item, "purchase", 1.0, f"o{n}") for n in range(9) for item in ("a", "b")]
    others = [("d", f"x{n}", "purchase", 1.0, f"p{n}") for n in range(50)]
    log = _log(*orders, *others)
    _, found = fit.arrays(log, small())
    assert (found["together_rows"][:2] == -1).all()


def test_fitting_leaves_every_history_as_it_was() -> None:
    """What a customer returned weighs against the item and is dropped from `liked`, and only from there."""
    log = _log(
        ("c", "a", "purchase", 3, "1"), ("c", "a", "return", 2, "1"), ("c", "b", "purchase", 1, "2"),
        ("d", "a", "purchase", 1, "3"), ("d", "b", "purchase", 1, "3"), ("e", "b", "purchase", 1, "4"),
    )  # fmt: skip
    before = matrices.build(log, small())
    after, _ = fit.arrays(log, small())
    assert after.offsets.tolist() == before.offsets.tolist() == [0, 2, 4, 5]
    assert after.history.item_rows.tolist() == before.history.item_rows.tolist()


def test_returns_belong_to_the_purchase_they_undo() -> None:
    rows = [
        ("c", "a", "return", 12.0, "C9"), ("c", "a", "purchase", 20.0, "1"), ("c", "a", "purchase", 19.0, "2"),
        ("c", "a", "purchase", 11.0, "3"), ("c", "a", "return", 13.0, "C8"), ("d", "b", "purchase", 17.0, "4"),
        ("d", "b", "return", 17.0, "4"), ("d", "z", "return", 14.0, "C7"), ("e", "a", "purchase", 30.0, "5"),
    ]  # fmt: skip
    log = _log(*rows, quantity=[1, 1, 5, 1, 5, 2, 1, 1, 1])
    e = log.events
    named = {
        (log.customer_ids[who], log.item_ids[item], float(round((NOW.timestamp() - at) / DAY))): order
        for who, item, at, order, back in zip(log.customers, e.item_rows, e.at, e.orders, log.returned, strict=True)
        if not back
    }
    found = sorted(
        (float(round((NOW.timestamp() - at) / DAY)), int(order)) for at, order in zip(e.at[log.returned], e.orders[log.returned], strict=True)
    )  # fmt: skip
    orders = dict(found)
    assert orders[13.0] == named["c", "a", 19.0]  # five came back of the order of five
    assert orders[12.0] == named["c", "a", 20.0]  # the newest earlier one is used up
    assert orders[17.0] == named["d", "b", 17.0]  # the same order
    assert orders[14.0] not in named.values()  # of a purchase that is not here
