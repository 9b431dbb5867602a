"""A service that starts while its database is away: from the copy in Redis, or saying that it cannot answer yet."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from recsvc.store import database, items
from recsvc.store.copies import Copy
from tests.conftest import Place, Valkey, children, copied_place, until
from tests.planted import catalogue
from tests.postgres import Postgres

LIST = "/v1/customers/c3/recommendations"
LISTS = (
    LIST, "/v1/customers/c3/buy-again", "/v1/customers/nobody/recommendations", "/v1/customers/c3/offers",
    "/v1/items/tea-05/similar", "/v1/items/tea-05/bought-together", "/v1/trending", "/v1/bestsellers", "/v1/new",
)  # fmt: skip
VIEW = {"interaction_id": "v", "customer_id": "c3", "kind": "view", "item_id": "tea-05"}


@contextmanager
def _stopped(server: Postgres) -> Iterator[None]:
    server.stop(signal.SIGQUIT)
    try:
        yield
    finally:
        server.start()


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.close()


@contextmanager
def _unreadable(file: Path) -> Iterator[None]:
    aside = file.with_suffix(".aside")
    file.rename(aside)
    file.write_bytes(b"no database " * 1000)
    try:
        yield
    finally:
        aside.rename(file)


@contextmanager
def _moved(file: Path) -> Iterator[None]:
    aside = file.with_suffix(".aside")
    file.rename(aside)
    try:
        yield
    finally:
        assert not file.exists(), "an empty database was begun"
        aside.rename(file)


WAYS = {"stopped": _stopped, "locked": _locked, "unreadable": _unreadable, "moved": _moved}


@pytest.fixture(params=[("postgres", "stopped"), *(("sqlite", way) for way in ("locked", "unreadable", "moved"))])
def away(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A database and a way for it to be away."""
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
def place(away: tuple[str, str], request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A trained shop of this test's own, on that database."""
    return copied_place(request, tmp_path, away[0])


def _taken_away(away: tuple[str, str], place: Place, request: pytest.FixtureRequest) -> Any:
    kind, way = away
    return WAYS[way](request.getfixturevalue("postgres") if kind == "postgres" else place.home / "recsvc.db")


def test_a_start_without_the_database_has_the_copy(
    away: tuple[str, str], place: Place, serve: Any, valkey: Valkey, request: pytest.FixtureRequest
) -> None:
    _sell_out(place, "tea-07")
    first = serve(redis_url=valkey.url)
    assert first.ask("GET", LIST)[1].get("X-Degraded") is None
    until(lambda: Copy(valkey.url, place.settings.sql_url).read() is not None)
    first.process.send_signal(signal.SIGTERM)
    first.process.wait(30)
    with _taken_away(away, place, request):
        service = serve(redis_url=valkey.url)
        state = service.ask("GET", "/readyz")[2]
        assert (state["status"], state["database"], state["redis"]) == ("degraded", "away", "ok")
        for path in LISTS:
            started = time.monotonic()
            status, headers, reply = service.ask("GET", f"{path}?limit=5")
            assert (status, headers["X-Degraded"]) == (200, "database"), path
            assert headers["X-Cache"] == "miss" and time.monotonic() - started < 2.0
            assert reply.get("offers") or reply["items"] or "new" in path
            assert "tea-07" not in [one["item_id"] for one in reply.get("items", [])]
        assert service.ask("GET", LIST, key=service.key[:-1] + "x")[0] == 401
        assert service.ask("POST", "/v1/interactions", VIEW)[0] == 503
        assert service.ask("GET", "/v1/items/tea-05")[0] == 503
    until(lambda: all(service.ask("GET", LIST)[1].get("X-Degraded") is None for _ in range(10)))
    # A run of answers may all be one worker's: the other has a poll more.
    until(lambda: service.ask("POST", "/v1/interactions", VIEW)[2].get("accepted") == 1)
    _sell_out(place, "tea-05")
    path = "/v1/customers/c3/recommendations?limit=60"
    until(lambda: "tea-05" not in [one["item_id"] for one in service.ask("GET", path)[2]["items"]])
    client = redis_client.Redis.from_url(valkey.url)
    assert all(client.ttl(name) != -1 for name in client.scan_iter())  # −2: ended meanwhile
    client.close()


def test_a_start_with_neither_says_so_and_goes_on_by_itself(
    away: tuple[str, str], place: Place, serve: Any, request: pytest.FixtureRequest
) -> None:
    if away[1] == "moved":
        pytest.skip("without a copy a missing file is a shop that begins")
    with _taken_away(away, place, request):
        service = serve(ready=False, redis_url="off")
        until(lambda: service.ask("GET", "/healthz")[0] == 200)
        status, _, reply = service.ask("GET", "/readyz")
        assert (status, reply["status"], reply["database"]) == (503, "starting", "away")
        for method, path, body in (("GET", LIST, None), ("GET", "/v1/items", None), ("POST", "/v1/interactions", VIEW)):
            status, headers, reply = service.ask(method, path, body)
            assert status == 503 and headers["Retry-After"] == "1" and "has not answered" in reply["detail"]
    until(lambda: all(service.ask("GET", "/readyz")[0] == 200 for _ in range(10)))
    until(lambda: service.ask("GET", LIST, key=service.key[:-1] + "x")[0] == 401)
    until(lambda: service.ask("GET", LIST)[0] == 200)
    status, headers, reply = service.ask("GET", LIST)
    assert "X-Degraded" not in headers and reply["items"]


def test_a_worker_killed_while_the_database_is_away_comes_back(
    away: tuple[str, str], place: Place, serve: Any, valkey: Valkey, request: pytest.FixtureRequest
) -> None:
    if away[1] == "locked":
        pytest.skip("who serves has the file open, and then nobody else can lock it so")
    service = serve(redis_url=valkey.url, workers=1)
    until(lambda: Copy(valkey.url, place.settings.sql_url).read() is not None)
    with _taken_away(away, place, request):
        gunicorn = next(
            pid for pid in children(service.process.pid) if b"gunicorn" in Path(f"/proc/{pid}/cmdline").read_bytes()
            and children(pid)
        )  # fmt: skip
        (victim,) = children(gunicorn)
        os.kill(victim, signal.SIGKILL)
        until(lambda: children(gunicorn) not in ({victim}, set()))
        until(lambda: service.ask("GET", LIST)[0] == 200)
        assert service.ask("GET", LIST)[1]["X-Degraded"] == "database"
    until(lambda: service.ask("GET", LIST)[1].get("X-Degraded") is None)


def _sell_out(place: Place, item_id: str) -> None:
    engine = database.connect(place.settings.sql_url, quick_seconds=10)
    row = next(one for one in catalogue(datetime.now(UTC)) if one["item_id"] == item_id)
    items.put(engine, [row | {"stock": 0}])
    engine.dispose()
