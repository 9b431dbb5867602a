"""What Redis has not been told yet, and the thread that sees to it that it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

Revisions = dict[str, int]
_PAUSE_SECONDS = 0.1
_TRIES = 5


class Pending:
    """What Redis has not been told yet: cache prefix → revision."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._revisions: Revisions = {}
        self._thread: threading.Thread | None = None

    def holds(self, prefix: str) -> bool:
        """Whether the cache must not be trusted under `prefix`."""
        return prefix in self._revisions

    def add(self, revisions: Revisions, advance: Callable[[Revisions], bool], give_up: Callable[[], None]) -> None:
        """Remember what Redis did not take; `advance` is tried for half a second, then `give_up` is called."""
        with self._lock:
            for prefix, revision in revisions.items():
                self._revisions[prefix] = max(revision, self._revisions.get(prefix, 0))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._tell, args=(advance, give_up), name="announce", daemon=True
                )
                self._thread.start()

    def _tell(self, advance: Callable[[Revisions], bool], give_up: Callable[[], None]) -> None:
        for _ in range(_TRIES):
            time.sleep(_PAUSE_SECONDS)
            revisions = dict(self._revisions)
            if advance(revisions):
                break
        else:
            revisions = dict(self._revisions)
            give_up()
        with self._lock:
            for prefix, revision in revisions.items():
                if self._revisions.get(prefix) == revision:
                    del self._revisions[prefix]
            self._thread = None
            rest = dict(self._revisions)
        if rest:
            self.add(rest, advance, give_up)
