"""The key file: one admin key that comes from outside the database, as containers are given their secrets.

What the file holds now is what counts: a file that is gone, empty or no key means no such key. Only the hash is
held in memory.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import structlog

from recsvc.store.keys import Key, grants, hashed

log = structlog.get_logger("recsvc.keys")

_MOST_BYTES: Final = 1024
_KEY: Final = re.compile(r"rk_([A-Za-z0-9-]{1,64})_([A-Za-z0-9-]{32,512})", re.ASCII)
_SCOPES: Final = ("admin",)


class KeyFile:
    """Reads one file, `path` None meaning there is none. `problem`: why its key cannot be used, or empty."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: bytes | None = None
        self._key: Key | None = None
        self.problem = ""

    def read(self) -> Key | None:
        """Return the key the file holds now. Read anew each time: it is small, and a time stamp can stand still."""
        if self._path is None:
            return None
        try:
            with self._path.open("rb") as file:
                content = file.read(_MOST_BYTES)
        except OSError as error:
            self._take(None, None, f"cannot be read: {error.strerror}")
            return None
        # Its hash says whether it changed, so that the secret itself is not kept.
        seen = hashed(content.decode("latin-1"))
        if seen != self._seen:
            self._take(seen, *_parse(content))
        return self._key

    def _take(self, seen: bytes | None, key: Key | None, problem: str) -> None:
        if problem and problem != self.problem:
            log.error("admin key file", problem=problem)
        self._seen, self._key, self.problem = seen, key, problem


def _parse(content: bytes) -> tuple[Key | None, str]:
    found = _KEY.fullmatch(content.decode("ascii", errors="replace").strip())
    if found is None:
        return None, "must hold one key: rk_<id>_<secret>, the secret 32 letters and digits or more"
    return Key(found[1], hashed(found[2]), _SCOPES, grants(_SCOPES)), ""
