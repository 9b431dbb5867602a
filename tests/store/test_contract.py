"""What the store promises, on SQLite and on Postgres alike: every test here runs on both."""

from __future__ import annotations

import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from recsvc.errors import Conflict
from recsvc.intake import digest
from recsvc.store import customers, database, facts, interactions, inventory, items, keys, offers, sessions
from recsvc.store.keyfile import KeyFile
from recsvc.store.live import Live, columns, load_catalogue
from tests.planted import append_one, book, catalogue, interaction

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
# Ids that a database could fold, reorder or cut: all must stay as they are, distinct, ordered by their bytes.
IDS = ["1", "01", "1.0", " 1", "A", "a", "ä", "a\u0308", "é", "e", "Z", "_", "%", "a%", "a_b", "aXb", "a/b", "😀", "\uffff",
       "\U0010fffd", "ß", "ss", "-", "a-b", "ab", "'", '"', "\\", "\\x00", "x" * 256]  # fmt: skip


def _row(
    name: str, customer: str | None = "c", item: str | None = "i", kind: str = "view", **more: Any
) -> dict[str, Any]:
    row = dict(
        zip(interactions.COLUMNS, interaction(customer or "", item, kind, NOW, interaction_id=name), strict=True)
    )
    return row | {"customer_id": customer} | more


def _append(engine: sa.Engine, *rows: dict[str, Any]) -> list[int | None]:
    with database.writing(engine) as connection:
        return [append_one(connection, row) for row in rows]


def _count(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(interactions.interactions)) or 0


def test_facts_are_made_once_and_advance(engine: sa.Engine) -> None:
    first = facts.read(engine)
    assert facts.ensure(engine) == first and len(first.customer_secret) == 32
    with database.writing(engine) as connection:
        facts.advance(connection, "catalogue")
        facts.advance(connection, "catalogue")
        facts.advance(connection, "cache_epoch")
    then = facts.read(engine)
    assert (then.catalogue, then.keys, then.cache_epoch) == (2, 0, first.cache_epoch + 1)


def test_numbers_that_many_advance_at_once_miss_none(engine: sa.Engine) -> None:
    def advance(_: int) -> None:
        with database.writing(engine) as connection:
            facts.advance(connection, "keys")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(advance, range(40)))
    assert facts.read(engine).keys == 40


def test_facts_that_many_ensure_at_once_are_one(database_url: str) -> None:
    engines = [database.connect(database_url, quick_seconds=10) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(facts.ensure, engines))
    assert len(found) == 1
    for engine in engines:
        engine.dispose()


def test_items_come_back_as_they_went_in_and_are_replaced(engine: sa.Engine) -> None:
    row = catalogue(NOW)[0] | {
        "item_id": "ä/1", "categories": ["Käse", "a\\b", '"'], "attributes": {"n": 1.5, "deep": [None, True, "😀"], "z": {}},
        "stock": 2**62, "price_cents": None, "active": False, "sensitive": True, "available_to": -5,
    }  # fmt: skip
    items.put(engine, [row])
    with engine.connect() as connection:
        found = dict(connection.execute(sa.select(items.items)).one()._mapping)
    assert found == dict.fromkeys(found) | row | {"change": 1, "deleted": False}
    items.put(engine, [row | {"title": "first"}, row | {"title": "last", "active": True}])
    with engine.connect() as connection:
        found = connection.execute(sa.select(items.items)).one()
    assert (found.title, found.active, found.sensitive) == ("last", True, True)
    assert facts.read(engine).catalogue == 2


def test_puts_of_the_same_items_from_many_sides_all_arrive(engine: sa.Engine) -> None:
    rows = catalogue(NOW)

    def put(turn: int) -> None:
        items.put(engine, rows if turn % 2 else rows[::-1])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(24)))
    assert facts.read(engine).catalogue == 24 and len(load_catalogue(engine, 24).items) == len(rows)


def test_offers_come_back_as_they_went_in(engine: sa.Engine) -> None:
    rows = book(NOW)
    offers.put(engine, rows)
    with engine.connect() as connection:
        found = connection.execute(sa.select(offers.offers).order_by(offers.offers.c.offer_id))
        unsaid = dict.fromkeys(offers.offers.columns.keys()) | offers.FRESH
        wanted = [
            unsaid | row | {"change": 1, "deleted": False} for row in sorted(rows, key=lambda row: row["offer_id"])
        ]
        assert [dict(one._mapping) for one in found] == wanted


def test_customers_are_found_by_how_their_ids_begin(engine: sa.Engine) -> None:
    customers.put(engine, [{"customer_id": one, "segment": f"of {one}", "attributes": {}} for one in IDS])
    customers.put(engine, [{"customer_id": "a", "segment": None, "attributes": {"x": 1}}])
    assert [customers.segment(engine, one) for one in IDS if one != "a"] == [f"of {one}" for one in IDS if one != "a"]
    assert customers.segment(engine, "a") is None and customers.segment(engine, "nobody") is None
    assert set(customers.segments(engine)) == set(IDS) - {"a"}
    for text in ("", "a", "A", "%", "_", "a_", "\\", "😀", "1", "zz"):
        wanted = sorted((one for one in IDS if one.startswith(text)), key=str.encode)
        assert customers.search(engine, text, 100) == wanted, text
    assert customers.search(engine, "", 3) == sorted(IDS, key=str.encode)[:3]


def test_keys_are_kept_as_hashes(engine: sa.Engine) -> None:
    key = keys.create(engine, "storefront", NOW)
    known = keys.load(engine)
    assert all(isinstance(one.secret_hash, bytes) and len(one.secret_hash) == 32 for one in known.values())
    assert keys.find(known, None, key, 0.0) and not keys.find(known, None, key[:-1] + "x", 0.0)
    assert facts.read(engine).keys == 1


def test_an_interaction_has_one_effect_and_a_growing_number(engine: sa.Engine) -> None:
    first = _append(engine, _row("1"), _row("2"), _row("1"))
    again = _append(engine, _row("2"), _row("3", details={"ref": "x", "properties": {"ä": [1]}}))
    assert first[2] is None and again[0] is None
    numbers = [one for one in (*first, *again) if one is not None]
    assert len(numbers) == 3 and numbers == sorted(set(numbers)) and numbers[0] > 0
    assert interactions.newest_revision(engine) == numbers[-1] == interactions.since(engine, "c", 0).revision
    assert interactions.since(engine, "c", numbers[-1]).revision == 0 == interactions.since(engine, "d", 0).revision
    with engine.connect() as connection:
        details = connection.scalars(sa.select(interactions.interactions.c.details).order_by(sa.text("revision"))).all()
    assert list(details) == [None, None, {"ref": "x", "properties": {"ä": [1]}}]


def test_what_fails_inside_a_transaction_leaves_nothing(engine: sa.Engine) -> None:
    def append_then_fail() -> None:
        with database.writing(engine) as connection:
            append_one(connection, _row("1"))
            raise RuntimeError("after the first")

    with pytest.raises(RuntimeError):
        append_then_fail()
    assert _count(engine) == 0


def test_what_one_caller_does_wrong_undoes_only_their_own(engine: sa.Engine) -> None:
    """Of eight in one commit, every second one fails after its append; the others keep theirs, in order."""
    writer = database.Writer(engine)

    def work(n: int, connection: sa.Connection) -> int | None:
        number = append_one(connection, _row(f"n{n}"))
        if n % 2:
            raise Conflict("after its append")
        return number

    def post(n: int) -> int | None:
        try:
            found: int | None = writer.submit(lambda connection: work(n, connection))
        except Conflict:
            return None
        return found

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(post, range(64)))
    assert all((number is None) == bool(n % 2) for n, number in enumerate(numbers)) and _count(engine) == 32


def test_a_merged_session_is_its_customers(engine: sa.Engine) -> None:
    rows = [_row(f"s{n}", customer=None, item=f"i{n}", session_id="s") for n in range(2)]
    numbers = _append(engine, *rows, _row("own", item="mine"), _row("merge", item=None, kind="merge"))
    assert [row.item_id for row in interactions.since(engine, "c", 0).rows] == ["mine"]
    with database.writing(engine) as connection:
        assert interactions.of_session(connection, "s") == 2
        assert sessions.assign(connection, "s", "c", numbers[3] or 0)
        assert not sessions.assign(connection, "s", "c", 0)
    assert [row.item_id for row in interactions.since(engine, "c", numbers[2] or 0).rows] == ["i1", "i0"]
    with pytest.raises(Conflict), database.writing(engine) as connection:
        sessions.assign(connection, "s", "another", 0)


def test_what_was_turned_down_counts_however_much_came_after_it(engine: sa.Engine) -> None:
    _append(engine, _row("no", item="never", kind="dislike"))
    interactions.append_many(engine, [interaction("c", "i", "view", NOW, interaction_id=f"x{n}") for n in range(600)])
    assert interactions.since(engine, "c", 0).rows[-1].item_id == "never"


def test_the_doctor_counts_and_finds_the_schema(engine: sa.Engine) -> None:
    items.put(engine, [*catalogue(NOW), catalogue(NOW)[0] | {"item_id": "bare", "categories": [], "price_cents": None}])
    customers.put(engine, [{"customer_id": one, "segment": None, "attributes": {}} for one in ("c", "d")])
    _append(engine, _row("1", item="unknown"), _row("2", item="bare", kind="purchase"))
    counts = inventory.counts(engine)
    assert (counts.no_category, counts.no_price, counts.unknown_items, counts.interactions) == (1, 1, 1, 2)
    assert (counts.customers, counts.no_history, counts.items - len(catalogue(NOW))) == (2, 1, 1)
    found, head = inventory.schema(engine)
    assert found == head and found and inventory.damage(engine) == []


def test_ids_stay_distinct_in_interactions(engine: sa.Engine) -> None:
    _append(engine, *[_row(f"n{n}", customer=one, item=one, order_id=one) for n, one in enumerate(IDS)])
    for one in IDS:
        assert [row.item_id for row in interactions.since(engine, one, 0).rows] == [one]


def test_a_chunk_is_kept_whole_without_what_is_there(engine: sa.Engine) -> None:
    rows = [
        interaction(f"c{n % 7}", one, "view", NOW, interaction_id=f"m{n}", channel="web") for n, one in enumerate(IDS)
    ]
    assert interactions.append_many(engine, rows[:10]) == 10
    assert interactions.append_many(engine, rows[5:] + rows[20:]) == len(rows) - 10
    assert interactions.append_many(engine, rows) == 0 == interactions.append_many(engine, [])
    with engine.connect() as connection:
        found = connection.execute(sa.select(*(interactions.interactions.c[name] for name in interactions.COLUMNS)))
        assert sorted(tuple(row)[:5] for row in found) == sorted(row[:5] for row in rows)
    details = list(rows[0])
    details[0], details[-1] = digest("with details"), '{"ref": "x"}'
    assert interactions.append_many(engine, [tuple(details)]) == 1
    with engine.connect() as connection:
        query = sa.select(interactions.interactions.c.details).where(interactions.interactions.c.digest == details[0])
        assert connection.scalar(query) == {"ref": "x"}


def test_what_came_since_is_newest_first_and_bounded(engine: sa.Engine) -> None:
    numbers = _append(
        engine, *[_row(f"{n}", item=f"i{n}") for n in range(4)], _row("visit", item=None, kind="store_visit")
    )
    assert numbers[1] is not None
    recent = interactions.since(engine, "c", numbers[1])
    assert recent.revision == numbers[4] and [row.item_id for row in recent.rows] == ["i3", "i2"]
    assert interactions.since(engine, "c", numbers[4] or 0) == interactions.Recent(0, [])
    interactions.append_many(engine, [interaction("d", "i", "view", NOW, interaction_id=f"x{n}") for n in range(600)])
    assert len(interactions.since(engine, "d", 0).rows) == interactions.RECENT


def test_history_is_by_time(engine: sa.Engine) -> None:
    rows = [interaction("c", f"i{n}", "purchase", NOW - timedelta(days=n % 3), order_id="o") for n in range(6)]
    interactions.append_many(engine, rows)
    found = interactions.history(engine, "c", 4)
    assert [row.occurred_at for row in found] == sorted((row.occurred_at for row in found), reverse=True)
    assert {row.item_id for row in found} == {"i0", "i3", "i1", "i4"}


def test_bestsellers_are_net_of_returns_and_ties_go_by_bytes(engine: sa.Engine) -> None:
    sold = itertools.count()

    def row(item: str, kind: str, days: int = 0) -> tuple[Any, ...]:
        return interaction("c", item, kind, NOW - timedelta(days=days), interaction_id=f"s{next(sold)}")

    rows = [row(one, "purchase") for one in ("b", "b", "b", "B", "ä", "a", "a", "gone", "old")]
    rows += [row("b", "return"), row("gone", "refund"), row("a", "view"), row("ancient", "purchase", 100)]
    interactions.append_many(engine, rows)
    after = int((NOW - timedelta(days=90)).timestamp() * 1e6)
    assert interactions.bestsellers(engine, after, 10) == [("a", 2), ("b", 2), ("B", 1), ("old", 1), ("ä", 1)]
    assert interactions.bestsellers(engine, after, 1) == [("a", 2)]


def test_one_interaction_from_64_threads_has_one_effect(engine: sa.Engine) -> None:
    writers = [database.Writer(engine) for _ in range(8)]

    def post(n: int) -> int | None:
        found: int | None = writers[n % 8].submit(lambda connection: append_one(connection, _row("the one")))
        return found

    with ThreadPoolExecutor(64) as pool:
        numbers = list(pool.map(post, range(256)))
    assert sum(number is not None for number in numbers) == 1 == _count(engine)


def test_the_writer_returns_each_its_own_result_after_the_commit(engine: sa.Engine) -> None:
    writer = database.Writer(engine)

    def post(n: int) -> tuple[int, int]:
        revision: int = writer.submit(lambda connection: append_one(connection, _row(f"w{n}", customer=f"c{n}")))
        return revision, interactions.since(engine, f"c{n}", 0).revision

    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(post, range(300)))
    assert all(acknowledged == stored for acknowledged, stored in found) and len(set(found)) == 300


def test_live_state_follows_what_other_processes_change(database_url: str, engine: sa.Engine) -> None:
    items.put(engine, catalogue(NOW))
    live = Live(engine, KeyFile(None))
    assert live.refresh() is live.state and not live.away
    other = database.connect(database_url, quick_seconds=10)
    changed = catalogue(NOW)[0] | {"stock": 0, "active": False}
    items.put(other, [changed])
    key = keys.create(other, "new", NOW)
    other.dispose()
    state = live.refresh()
    active, stock, *_ = columns(state.catalogue, [changed["item_id"], catalogue(NOW)[1]["item_id"]])
    assert (
        active.tolist() == [False, True]
        and stock.tolist() == [0.0, float("inf")]
        and keys.find(state.keys, None, key, 0.0)
    )
    assert state.catalogue.newest[0].item_id == "new-00"


def test_many_processes_migrate_at_once(database_url: str, postgres: Any, tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'fresh.db'}" if "sqlite" in database_url else postgres.url(postgres.create())
    code = (
        "import sys; from recsvc.store import database, facts; e = database.connect(sys.argv[1]); database.migrate(e); "
        "print(facts.ensure(e).database_id)"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True) for _ in range(5)]
    said = {one.communicate(timeout=60)[0] for one in started}
    assert len(said) == 1 and all(one.returncode == 0 for one in started)
