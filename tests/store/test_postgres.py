"""What only Postgres can get wrong: the order of commits, collations, a server that hangs, restarts, is full."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from recsvc.errors import InvalidRequest, Unavailable
from recsvc.store import database, facts, interactions
from recsvc.store.keyfile import KeyFile
from recsvc.store.live import Live, load_catalogue
from recsvc.store.postgres import GONE, Away
from tests.conftest import until
from tests.planted import append_one, interaction
from tests.postgres import Postgres
from tests.store.test_contract import NOW, _row


@pytest.fixture
def engine(postgres: Postgres, migrated: str) -> Iterator[sa.Engine]:
    """An engine over an empty shop on Postgres; a busy machine is no reason to give up."""
    engine = database.connect(postgres.url(postgres.create(migrated)), quick_seconds=10)
    facts.ensure(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def hasty(engine: sa.Engine) -> Iterator[sa.Engine]:
    """The same with the wait of a list."""
    hasty = database.connect(engine.url.render_as_string(hide_password=False))
    yield hasty
    hasty.dispose()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_usual_schemes_are_one(postgres: Postgres, migrated: str, scheme: str) -> None:
    engine = database.connect(postgres.url(migrated).replace("postgresql", scheme, 1))
    assert interactions.newest_revision(engine) == 0
    engine.dispose()


def test_a_database_that_cannot_hold_every_text_is_refused(postgres: Postgres) -> None:
    postgres.run("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    engine = database.connect(postgres.url("latin"))
    with pytest.raises(InvalidRequest, match="LATIN1"):
        database.migrate(engine)
    engine.dispose()


def test_every_text_compares_by_its_bytes(postgres: Postgres, migrated: str) -> None:
    """Also a column that a later migration adds."""
    query = (
        "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public' "
        "AND data_type IN ('text', 'character varying') AND collation_name IS DISTINCT FROM 'C' "
        "AND table_name <> 'alembic_version'"
    )
    assert postgres.run(query, migrated) == []


def test_no_revision_becomes_visible_before_a_lower_one(engine: sa.Engine) -> None:
    """Two real transactions: the one that inserts later waits for the commit of the one before."""
    inserted, finish, numbers = threading.Event(), threading.Event(), {}

    def slow() -> None:
        with database.writing(engine) as connection:
            numbers["slow"] = append_one(connection, _row("slow"))
            inserted.set()
            finish.wait(10)

    def fast() -> None:
        inserted.wait(10)
        with database.writing(engine) as connection:
            numbers["fast"] = append_one(connection, _row("fast"))

    def many() -> None:
        inserted.wait(10)
        interactions.append_many(engine, [tuple(_row("many").values())])

    threads = [threading.Thread(target=work) for work in (slow, fast, many)]
    for thread in threads:
        thread.start()
    inserted.wait(10)
    time.sleep(0.3)
    assert interactions.newest_revision(engine) == 0 and "fast" not in numbers
    finish.set()
    for thread in threads:
        thread.join()
    assert numbers["slow"] < numbers["fast"] and len(interactions.since(engine, "c", numbers["slow"]).rows) == 2


def test_a_reader_that_follows_the_numbers_misses_nothing(engine: sa.Engine) -> None:
    """Writers of several processes' kind, a reader that asks for what came since the last number it saw."""
    seen: list[str] = []
    done = threading.Event()

    def follow() -> None:
        last = 0
        while True:
            ended = done.is_set()
            recent = interactions.since(engine, "c", last)
            seen.extend(row.item_id for row in recent.rows)
            last = max(last, recent.revision)
            if ended:
                return

    def write(writer: int) -> None:
        for n in range(60):
            with database.writing(engine) as connection:
                append_one(connection, _row(f"{writer}-{n}", item=f"{writer}-{n}"))

    reader = threading.Thread(target=follow)
    writers = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert sorted(seen) == sorted(f"{writer}-{n}" for writer in range(6) for n in range(60))


def _lasted(work: Any) -> float:
    started = time.perf_counter()
    with pytest.raises((*GONE, Away)):
        work()
    return time.perf_counter() - started


def test_a_server_that_hangs_costs_one_short_wait_and_then_none(hasty: sa.Engine, postgres: Postgres) -> None:
    live = Live(hasty, KeyFile(None))
    interactions.since(hasty, "c", 0)
    with postgres.hung():
        waits = [_lasted(lambda: interactions.since(hasty, "c", 0).revision) for _ in range(20)]
        assert max(waits) < 1.0 and sorted(waits)[-2] < 0.1
        live.refresh()
        assert live.away
        time.sleep(0.6)
        assert _lasted(lambda: interactions.since(hasty, "c", 0)) < 1.0  # one asks again: no longer than before
    until(lambda: live.refresh() is not None and not live.away)
    assert interactions.since(hasty, "c", 0).revision == 0


def test_longer_looks_end_when_the_others_find_the_server_down(hasty: sa.Engine, postgres: Postgres) -> None:
    live = Live(hasty, KeyFile(None))
    ended = threading.Event()
    watcher = threading.Thread(target=lambda: [live.refresh() or time.sleep(0.05) for _ in iter(ended.is_set, True)])
    with postgres.hung():
        watcher.start()
        assert _lasted(lambda: load_catalogue(hasty, 0)) < 4  # of 30 s
        assert _lasted(lambda: interactions.bestsellers(hasty, 0, 5)) < 1.0
    until(lambda: not live.away)
    ended.set()
    watcher.join()
    assert interactions.bestsellers(hasty, 0, 5) == []


def test_writes_end_soon_and_then_at_once_while_the_server_hangs(hasty: sa.Engine, postgres: Postgres) -> None:
    writer, live = database.Writer(hasty), Live(hasty, KeyFile(None))
    assert writer.submit(lambda connection: append_one(connection, _row("before")))
    ended = threading.Event()
    watcher = threading.Thread(target=lambda: [live.refresh() or time.sleep(0.05) for _ in iter(ended.is_set, True)])
    watcher.start()

    def post() -> float:
        started = time.perf_counter()
        with pytest.raises(Unavailable):
            writer.submit(lambda connection: append_one(connection, _row("during")))
        return time.perf_counter() - started

    with postgres.hung():
        assert post() < 4  # the reads find out within a second and a bit
        assert max(post() for _ in range(5)) < 1.0
    until(lambda: not live.away)
    ended.set()
    watcher.join()
    assert writer.submit(lambda connection: append_one(connection, _row("after")))


def test_a_restarted_server_is_found_again_without_an_error(engine: sa.Engine, postgres: Postgres) -> None:
    writer = database.Writer(engine)
    first = writer.submit(lambda connection: append_one(connection, _row("1")))
    for number in (2, 3):
        postgres.stop()
        postgres.start()
        assert interactions.since(engine, "c", 0).revision >= first  # nobody asked while it was away
        assert writer.submit(lambda connection, n=number: append_one(connection, _row(str(n))))


def test_an_import_waits_for_its_turn_and_no_list_for_it(engine: sa.Engine) -> None:
    """Longer than any other write may wait, and its commit comes after that."""
    rows = [interaction("c", "i", "view", NOW, interaction_id=f"x{n}") for n in range(100)]
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as holder:
            append_one(holder, _row("held"))
            appended = pool.submit(interactions.append_many, engine, rows)
            time.sleep(5.5)
            assert not appended.done() and interactions.since(engine, "c", 0).revision == 0
        assert appended.result() == 100
    assert len(interactions.since(engine, "c", 0).rows) == 101


def test_a_lock_that_somebody_holds_is_not_a_database_that_is_away(engine: sa.Engine) -> None:
    with database.writing(engine) as holder:
        append_one(holder, _row("held"))
        with engine.connect() as other:
            other.exec_driver_sql("SET lock_timeout = 50")
            with pytest.raises(sa.exc.OperationalError):
                append_one(other, _row("waits"))
        assert interactions.since(engine, "c", 0).revision == 0
