"""The marker that a version was verified on this host, so that one process does it for all.

It lies beside the version, never in it, and holds the hash of the manifest and what the file system says of every
file: size, times, inode. Where any of it differs from what is there now, or the machine was started anew since, the
version is verified again. A folder that this process may not write has no marker: then each process verifies.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
# The clock of a file system may stand still for 10 ms: a change within the same tick would not be seen in the times.
_TICK_SECONDS: Final = 0.05


@contextmanager
def once(root: Path, version: str, names: list[str], manifest: bytes) -> Iterator[bool]:
    """Yield whether the files of a version are still to be verified; when the block ends well, they are.

    Others that ask meanwhile wait until this one is done.

    Args:
        names: the files within the version's folder.
        manifest: the content of its manifest.

    Raises:
        OSError: a file is missing.
    """
    state = _state(root / version, names, manifest)
    marker = root / f".{version}.verified"
    if _read(marker) == state:
        yield False
        return
    try:
        file = marker.open("a+")
    except OSError:
        yield True
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if _read(marker) == state:
            yield False
            return
        newest = max(stat[2] for stat in state["files"].values()) / 1e9
        time.sleep(min(max(newest + _TICK_SECONDS - time.time(), 0), _TICK_SECONDS))
        yield True
        if _state(root / version, names, manifest) == state and time.time() > newest:
            with suppress(OSError):
                file.truncate(0)
                file.write(json.dumps(state))


def _read(marker: Path) -> Any:
    try:
        return json.loads(marker.read_bytes())
    except (OSError, ValueError):
        return None


def _state(folder: Path, names: list[str], manifest: bytes) -> dict[str, Any]:
    stats = {name: (folder / name).stat(follow_symlinks=False) for name in ("manifest.json", *names)}
    files = {name: [one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_ino] for name, one in stats.items()}
    return {"manifest": hashlib.sha256(manifest).hexdigest(), "files": files, "boot": _boot()}


def _boot() -> str:
    """Return what names this host since it was started, the same in all its containers."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
