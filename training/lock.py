"""The lock of an artifact root: one training run, promotion or rollback at a time. The kernel releases it at death."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from training.errors import Busy

_FILE: Final = ".training.lock"
_held: set[IO[str]] = set()


@contextmanager
def held(root: Path) -> Iterator[None]:
    """Hold the lock of `root`; the folder is made when missing.

    Raises:
        Busy: another process holds it; says which, and since when.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / _FILE).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            who = file.read(500).strip() or "another process"
            raise Busy(f"{root}: held by {who}; wait for its end") from None
        file.truncate(0)
        file.write(f"pid {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n")
        file.flush()
        _held.add(file)
        try:
            yield
        finally:
            _held.discard(file)
            file.truncate(0)


def _let_go() -> None:
    # A child that outlives its parent for a moment must not hold the lock for it.
    for file in _held:
        os.close(file.fileno())
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
