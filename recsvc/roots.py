"""The artifact root: who may change its names, and what a killed process left in it.

Names that begin with a dot are not published: `.VERSION.PID` is a version being written or removed, `.current.PID`
a pointer that was not put in place, `.VERSION.verified` the marker of `verified`. Who writes a folder beside holds a
lock on it, which the kernel releases at its end: a folder without one is an orphan, whatever container made it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

VERSION_PATTERN: Final = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")
_BESIDE: Final = re.compile(rf"\.{VERSION_PATTERN.pattern}\.\d+")
_MARKER: Final = re.compile(rf"\.({VERSION_PATTERN.pattern})\.verified")
_POINTER: Final = re.compile(r"\.current\.\d+")


@contextmanager
def alone(root: Path, name: str = ".lock") -> Iterator[None]:
    """Be the only process, and thread, that is within such a block. Waits for others.

    `.lock` is for who changes the names in `root`, for milliseconds; what takes longer has a lock of its own.
    """
    with (root / name).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sweep(root: Path) -> None:
    """Remove what killed processes left; to be called `alone`."""
    for path in list(root.iterdir()):
        marker = _MARKER.fullmatch(path.name)
        if _BESIDE.fullmatch(path.name) and path.is_dir():
            if not _is_held(path):
                shutil.rmtree(path, ignore_errors=True)
        elif _POINTER.fullmatch(path.name) or (marker and not (root / marker[1]).exists()):
            path.unlink(missing_ok=True)


@contextmanager
def beside(root: Path, version: str) -> Iterator[tuple[Path, str]]:
    """Yield an empty folder in which to make a version, and its name; `settle` publishes the folder.

    What killed processes left is removed first. The folder is removed when the block fails.

    Args:
        version: the name wanted; one that is taken, or being written, is followed by the next that is free.
    """
    root.mkdir(parents=True, exist_ok=True)
    with alone(root):
        sweep(root)
        version = _free(root, version)
        folder = root / f".{version}.{os.getpid()}"
        folder.mkdir()
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield folder, version
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        os.close(handle)


def settle(folder: Path, version: str) -> Path:
    """Give a finished folder its name, in one atomic step. Returns the published folder.

    Raises:
        FileExistsError: the version exists.
    """
    sync(folder)
    root = folder.parent
    with alone(root):
        if (root / version).exists():
            raise FileExistsError(f"{version}: exists, and a published version never changes")
        folder.rename(root / version)
        sync(root)
    return root / version


def remove(root: Path, version: str) -> None:
    """Remove a version whole: a reader finds it or does not; to be called `alone`."""
    gone = root / f".{version}.{os.getpid()}"
    (root / version).rename(gone)
    (root / f".{version}.verified").unlink(missing_ok=True)
    shutil.rmtree(gone, ignore_errors=True)


def write_synced(path: Path, content: bytes, mode: str = "wb") -> None:
    """Write or, by mode `ab`, add to a file, and have it on the disk."""
    with path.open(mode) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _free(root: Path, version: str) -> str:
    second, number = version[:-4], int(version[-4:], 16)
    taken = {path.name.split(".")[1 if path.name.startswith(".") else 0] for path in root.iterdir()}
    for step in range(2**16):
        name = f"{second}{(number + step) % 2**16:04x}"
        if name not in taken:
            return name
    raise FileExistsError(f"{version}: all names of this second are taken")


def _is_held(folder: Path) -> bool:
    with suppress(FileNotFoundError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(handle)
    return False
