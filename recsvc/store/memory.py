"""The level in front of Redis: what this process answered within the last half second, and what it heard itself.

An entry serves half a second at most and then Redis is asked again, so an interaction that another process took counts
within that time. One that this process took counts at once: it is heard here before its caller is told.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from recsvc.store.cache import Stamp

SECONDS = 0.5
_ENTRIES = 4096
_BYTES = 16 * 2**20
_HEARD = 65_536


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer. asked_at: when Redis or the database was last asked for the revision, by the monotonic clock."""

    stamp: Stamp
    body: bytes
    asked_at: float


@dataclass(slots=True)
class Memory:
    """Answers by their key, oldest first; and cache prefix → the newest revision that this process took."""

    entries: dict[str, Entry] = field(default_factory=dict)
    size: int = 0
    _heard: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: str) -> Entry | None:
        """Return the answer under `key` when it is young enough."""
        entry = self.entries.get(key)
        return entry if entry is not None and time.monotonic() - entry.asked_at < SECONDS else None

    def put(self, key: str, entry: Entry) -> None:
        """Hold an answer; what is too old, or too much, goes."""
        with self._lock:
            self._drop(key)
            self.entries[key] = entry
            self.size += len(entry.body)
            oldest = time.monotonic() - SECONDS
            while self.entries:
                first = next(iter(self.entries))
                if (
                    self.entries[first].asked_at > oldest and len(self.entries) <= _ENTRIES and self.size <= _BYTES
                ):  # fmt: skip
                    return
                self._drop(first)

    def hear(self, revisions: dict[str, int]) -> None:
        """Remember what customers did through this process."""
        with self._lock:
            for prefix, revision in revisions.items():
                # Put in anew, so that it is the last to be forgotten.
                self._heard[prefix] = max(revision, self._heard.pop(prefix, 0))
            while len(self._heard) > _HEARD:
                del self._heard[next(iter(self._heard))]

    def heard(self, prefix: str) -> int:
        """Return the newest revision of a customer that came through this process; 0 when none did."""
        return self._heard.get(prefix, 0)

    def _drop(self, key: str) -> None:
        entry = self.entries.pop(key, None)
        if entry is not None:
            self.size -= len(entry.body)
