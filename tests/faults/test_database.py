"""Faults around the database, on SQLite and on Postgres: killed writers, locks, a server that hangs or restarts."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from recsvc.app import create_app
from recsvc.intake import digest
from recsvc.store import database
from recsvc.store.interactions import interactions
from tests.conftest import Place, children, on_both, until
from tests.postgres import Postgres

LIST = "/v1/customers/c3/recommendations"
KILLS = int(os.environ.get("RECSVC_TEST_KILLS", "50"))
# Appends through the Writer from four threads and says what was acknowledged, until it is killed.
_APPENDS = """
import sys, threading
from recsvc.intake import digest
from recsvc.store import database, interactions
engine = database.connect(sys.argv[1])
writer, said = database.Writer(engine), threading.Lock()
def post(thread):
    for n in range(10**6):
        name = f"{sys.argv[2]}-{thread}-{n}"
        row = dict.fromkeys(interactions.COLUMNS) | {
            "digest": digest(name), "customer_id": "c", "item_id": "i", "kind": "view", "occurred_at": n,
        }
        for _ in range(2):  # the second is a duplicate
            if writer.submit(lambda connection: interactions.append(connection, [row])):
                with said:
                    print(name, flush=True)
for thread in range(4):
    threading.Thread(target=post, args=(thread,)).start()
"""


def _stored(url: str) -> list[bytes]:
    engine = database.connect(url)
    with engine.connect() as connection:
        found = list(connection.scalars(sa.select(interactions.c.digest)))
    engine.dispose()
    return found


@pytest.mark.parametrize("turns", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_what_a_killed_process_appended_is_there_once(database_url: str, tmp_path: Path, turns: int) -> None:
    """5 or 20 × kill −9 of a process that appends: nothing acknowledged is missing, nothing is doubled."""
    acknowledged: list[str] = []
    for turn in range(turns):  # five processes at a time: they also contend with each other
        said = [tmp_path / f"{turn}-{n}" for n in range(5)]
        started = []
        for path in said:
            command = [sys.executable, "-c", _APPENDS, database_url, path.name]
            with path.open("w") as out:
                started.append(subprocess.Popen(command, stdout=out, cwd=Path(__file__).parents[2]))
        for n, (child, path) in enumerate(zip(started, said, strict=True)):
            until(lambda path=path: path.stat().st_size > 0)
            time.sleep(0.02 * n + 0.007 * turn)
            child.kill()
            child.wait()
            acknowledged += [line.strip() for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    stored = _stored(database_url)
    assert len(acknowledged) > 5 * turns and {digest(name) for name in acknowledged} <= set(stored)
    assert len(stored) == len(set(stored))


@pytest.mark.slow
@on_both
def test_what_was_acknowledged_survives_every_kill(place: Place, serve: Any) -> None:
    """kill −9 of all processes of the service while four callers post; each acknowledged interaction is there once."""
    acknowledged: list[str] = []
    number = itertools.count()
    for kill in range(KILLS):
        service = serve()
        stop = threading.Event()

        def post(service: Any = service, stop: threading.Event = stop) -> None:
            while not stop.is_set():
                name = f"i-{next(number)}"
                body = {"interaction_id": name, "customer_id": "c3", "kind": "view", "item_id": "tea-05"}
                status, _, reply = service.ask("POST", "/v1/interactions", body)
                if status == 200 and reply["accepted"] == 1:
                    acknowledged.append(name)

        with ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(post)
            time.sleep(0.05 + (kill % 10) * 0.03)
            victims = children(service.process.pid) | {service.process.pid}
            for victim in victims:
                with suppress(ProcessLookupError):  # ended by itself when its parent did
                    os.kill(victim, signal.SIGKILL)
            stop.set()
        service.process.wait()
    stored = _stored(place.settings.sql_url)
    if not place.database_url:
        with sqlite3.connect(place.home / "recsvc.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(acknowledged) > KILLS
    names = {digest(f"i-{n}") for n in range(next(number))}
    kept = sum(one in names for one in stored)
    print(f"{KILLS} kills: {len(names)} sent, {len(acknowledged)} acknowledged, {kept} stored")  # pytest -rP shows it
    assert {digest(name) for name in acknowledged} <= set(stored)
    assert kept == len(names & set(stored))


@pytest.fixture
def shop(place: Place) -> Iterator[Any]:
    """A client of an app that looks for changes by itself, as a worker does."""
    # Longer than by default: on a busy machine to connect to a server that has just started takes more than 80 ms.
    app = create_app(place.settings.model_copy(update={"database_timeout_ms": 300, "rate_per_second": 0}))
    client = app.test_client()
    client.environ_base["HTTP_X_API_KEY"] = place.key
    client.get(LIST)
    yield client
    app.extensions["recsvc"].current.stop()
    time.sleep(0.3)
    app.extensions["recsvc"].engine.dispose()


def _post(client: Any, name: str) -> tuple[int, float]:
    body = {"interaction_id": name, "customer_id": "c3", "kind": "view", "item_id": "tea-05"}
    started = time.perf_counter()
    return client.post("/v1/interactions", json=body).status_code, time.perf_counter() - started


def _lists(client: Any, seconds: float) -> tuple[float, set[str]]:
    """Ask for lists; all must be 200. Returns the longest wait and what was said to be away.

    The locks of these tests are held for two seconds: a list that waited for one would take as long, and none takes
    half as long on a machine that has other work.
    """
    longest, away = 0.0, set()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        reply = client.get(f"{LIST}?limit=5")
        longest = max(longest, time.perf_counter() - started)
        assert reply.status_code == 200 and len(reply.json["items"]) == 5
        away.add(reply.headers.get("X-Degraded", ""))
    return longest, away


def test_a_locked_sqlite_file_delays_posts_and_no_list(place: Place, shop: Any) -> None:
    other = sqlite3.connect(place.home / "recsvc.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(2) as pool:
        posted = pool.submit(_post, shop.application.test_client(), "no key")
        assert posted.result()[0] == 401
        client = shop.application.test_client()
        client.environ_base["HTTP_X_API_KEY"] = place.key
        posted = pool.submit(_post, client, "waits")
        longest, away = _lists(shop, 2.0)
        other.execute("COMMIT")
        status, waited = posted.result()
    other.close()
    assert status == 200 and waited > 1.5
    assert longest < 1.5 and away == {""}


def test_a_locked_interaction_table_delays_posts_and_no_list(
    planted_postgres: Any, postgres: Postgres, tmp_path: Path
) -> None:
    original, name = planted_postgres
    url = postgres.url(postgres.create(name))
    settings = Place(original.home, original.key, database_url=url).settings
    app = create_app(
        settings.model_copy(update={"database_timeout_ms": 2000, "rate_per_second": 0})
    )  # busy is not away
    clients = [app.test_client() for _ in range(2)]
    for client in clients:
        client.environ_base["HTTP_X_API_KEY"] = original.key
    other = database.connect(url)
    with ThreadPoolExecutor(1) as pool:
        with other.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE interactions IN EXCLUSIVE MODE")
            posted = pool.submit(_post, clients[0], "waits")
            longest, away = _lists(clients[1], 2.0)
        status, waited = posted.result()
    assert status == 200 and waited > 1.5
    assert longest < 1.5 and away == {""}
    app.extensions["recsvc"].current.stop()
    time.sleep(0.3)
    other.dispose()
    app.extensions["recsvc"].engine.dispose()


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_lists_go_on_while_postgres_hangs(shop: Any, postgres: Postgres) -> None:
    until(lambda: _lists(shop, 0.05)[1] == {""})
    with postgres.hung():
        longest, away = _lists(shop, 2.0)
        assert longest < 1.0 and "database" in away  # 0.1 s, and what a busy machine adds
        status, waited = _post(shop, "away")
        assert status == 503 and waited < 1.5
        assert shop.get("/readyz").json["database"] == "away"
    until(lambda: _lists(shop, 0.05)[1] == {""})
    assert _post(shop, "back")[0] == 200


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_lists_go_on_while_postgres_restarts(shop: Any, postgres: Postgres) -> None:
    postgres.stop(signal.SIGQUIT)
    longest, away = _lists(shop, 1.0)
    assert longest < 1.0 and "database" in away
    assert _post(shop, "away")[0] == 503
    postgres.start()
    until(lambda: _lists(shop, 0.05)[1] == {""})
    assert _post(shop, "away")[0] == 200
    assert shop.get("/readyz").json["database"] == "ok"


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_the_whole_service_runs_on_postgres(serve: Any, place: Place) -> None:
    service = serve()
    body = {"interaction_id": "v", "customer_id": "c3", "kind": "view", "item_id": "tea-05"}
    assert service.ask("POST", "/v1/interactions", body)[2]["accepted"] == 1
    assert service.ask("POST", "/v1/interactions", body)[2]["duplicates"] == 1
    until(lambda: service.ask("GET", LIST)[2]["source"] == "live")
    assert service.ask("GET", "/readyz")[2]["status"] == "ready"
    assert not (place.home / "recsvc.db").exists()
