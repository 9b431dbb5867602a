"""`recsvc serve` over a planted shop, for as long as the benchmarks take, and the CPU time it used; and beside it H."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from recsvc.settings import Settings, configs_folder
from recsvc.store import database, facts, keys
from tests.conftest import children, free_port
from tests.planted import plant

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Served:
    """A running service. database: its SQLite file. pid: of `recsvc serve`, below which all its processes are."""

    home: Path
    port: int
    key: str
    pid: int

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.home / "recsvc.db"

    def cpu(self) -> float:
        """Return the CPU seconds that its processes used so far, those of gunicorn's workers above all."""
        parents, used = {}, {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents[int(entry.name)], used[int(entry.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
        found = {self.pid}
        while more := {child for child, parent in parents.items() if parent in found} - found:
            found |= more
        return sum(used.get(one, 0) for one in found) / _TICKS

    def workers(self) -> list[int]:
        """Return the pids of gunicorn: the master and all workers."""
        return gunicorn(self.pid)


def gunicorn(pid: int) -> list[int]:
    """Return the pids of gunicorn among a process and all below it."""
    found = []
    for one in {pid, *children(pid)}:
        with suppress(OSError):
            if b"gunicorn" in Path(f"/proc/{one}/cmdline").read_bytes():
                found.append(one)
    return sorted(found)


def cpu_seconds(pids: list[int]) -> float:
    """Return the CPU seconds that all threads of processes have used, by the scheduler's own count."""
    total = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


Plant = Callable[[sa.Engine, datetime, Path], object]


@contextmanager
def served(make: Plant = plant, **settings: object) -> Iterator[Served]:
    """Plant a shop, train it, serve it; settings as keyword arguments."""
    with planted(make) as (home, key), serving(home, key, **settings) as service:
        yield service


@contextmanager
def planted(make: Plant) -> Iterator[tuple[Path, str]]:
    """Plant a shop. Yields its home folder and a key."""
    with tempfile.TemporaryDirectory(prefix="recsvc-bench-") as folder:
        home = Path(folder) / "shop"
        home.mkdir()
        given = Settings(home=home, redis_url="off")
        engine = database.connect(given.sql_url)
        database.migrate(engine)
        facts.ensure(engine)
        make(engine, datetime.now(UTC), given.artifact_root)
        key = keys.create(engine, "bench", datetime.now(UTC), keys.Terms(("admin",)))
        engine.dispose()
        yield home, key


@contextmanager
def serving(home: Path, key: str, **settings: object) -> Iterator[Served]:
    """Serve a shop that is there; settings as keyword arguments."""
    port = free_port()
    names = {"home": home, "port": port, "rate_per_second": 0, **settings}
    variables = {f"RECSVC_{name.upper()}": str(value) for name, value in names.items()}
    with _running([sys.executable, "-m", "recsvc", "serve"], variables) as process:
        _wait(port, "/readyz")
        yield Served(home, port, key, process.pid)


@contextmanager
def hello(workers: int, threads: int, app: str = "app") -> Iterator[tuple[int, list[int]]]:
    """Run H as `recsvc serve` runs the service, or another app of its file. Yields its port and its processes."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--config", str(configs_folder() / "gunicorn.py"), "--bind",
               f"127.0.0.1:{port}", "--workers", str(workers), "--threads", str(threads), f"tests.benchmarks.hello:{app}"]  # fmt: skip
    with _running(command, {}) as process:
        _wait(port, "/")
        yield port, gunicorn(process.pid)


@contextmanager
def _running(command: list[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env={**os.environ, **variables}, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _wait(port: int, path: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the service did not start")
