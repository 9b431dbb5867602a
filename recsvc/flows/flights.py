"""Flights: of several requests that need the same answer at once, one makes it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from recsvc.store.memory import Entry

WAIT_SECONDS = 0.1


@dataclass(slots=True)
class Flight:
    """An answer in the making. entry: what came out; None when nothing did that others may have."""

    entry: Entry | None = None
    _landed: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> Entry | None:
        """Return what the leader made; None when that takes too long, or cannot be shared."""
        self._landed.wait(WAIT_SECONDS)
        return self.entry

    def land(self) -> None:
        """Let the others go on."""
        self._landed.set()


class Flights:
    """The answers that this process is making now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, Flight] = {}

    @contextmanager
    def join(self, key: str) -> Iterator[tuple[Flight, bool]]:
        """Yield the flight of `key`, and whether this request is the one that makes it."""
        with self._lock:
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flights[key] = Flight()
        try:
            yield flight, leads
        finally:
            if leads:
                with self._lock:
                    del self._flights[key]
                flight.land()
