"""`recsvc serve` over a planted shop, for as long as the benchmarks take, and the CPU time it used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from recsvc.settings import Settings
from recsvc.store import database, facts, keys
from tests.conftest import free_port
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


@contextmanager
def served(**settings: object) -> Iterator[Served]:
    """Plant a shop, train it, serve it; settings as keyword arguments."""
    with tempfile.TemporaryDirectory(prefix="recsvc-bench-") as folder:
        home = Path(folder) / "shop"
        home.mkdir()
        given = Settings(home=home, redis_url="off")
        engine = database.connect(given.sql_url)
        database.migrate(engine)
        facts.ensure(engine)
        plant(engine, datetime.now(UTC), given.artifact_root)
        key = keys.create(engine, "bench", datetime.now(UTC), keys.Terms(("admin",)))
        engine.dispose()
        port = free_port()
        names = {"home": home, "port": port, "rate_per_second": 0, **settings}
        variables = {f"RECSVC_{name.upper()}": str(value) for name, value in names.items()}
        command = [sys.executable, "-m", "recsvc", "serve"]
        process = subprocess.Popen(command, env={**os.environ, **variables}, stderr=subprocess.DEVNULL)
        try:
            _wait(port)
            yield Served(home, port, key, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _wait(port: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the service did not start")
