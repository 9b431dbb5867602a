"""Rates: how often a key may ask, over all workers together, without asking Redis for every request.

A worker leases a batch of tokens from the key's bucket in Redis: a twentieth of a second's worth, all or nothing,
to be used within a second. So Redis is asked at most about twenty times a second, key and worker, however many
requests come. When Redis is away each worker counts for itself: a storefront is answered rather too often.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

_BATCHES_PER_SECOND = 20
_LEASE_SECONDS = 1.0
_SHORTEST_WAIT = 0.001

Lease = Callable[[str, int, int], tuple[int, float] | None]
"""Asked for (name, tokens per second, how many): the number given, 0 or all, and the seconds until more can be had.
None: nobody knows."""


@dataclass(slots=True)
class Purse:
    """What this worker holds of one key. leased: tokens, good until `until`. refused_until: before that there is
    nothing to ask for. own, own_at: the bucket of this worker alone."""

    leased: int = 0
    until: float = 0.0
    refused_until: float = 0.0
    own: float = -1.0
    own_at: float = 0.0


class Limiter:
    """The purses of one worker. clock: seconds that only grow."""

    def __init__(self, lease: Lease, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._lease = lease
        self._purses: dict[str, Purse] = {}
        self._lock = threading.Lock()

    def wait(self, name: str, per_second: int) -> float:
        """Take one token. Returns 0.0 when there was one, else the seconds until there may be."""
        now = self.clock()
        with self._lock:
            purse = self._purses.setdefault(name, Purse())
            if purse.leased > 0 and now < purse.until:
                purse.leased -= 1
                return 0.0
            if now < purse.refused_until:
                return purse.refused_until - now
        answer = self._lease(name, per_second, max(1, per_second // _BATCHES_PER_SECOND))
        with self._lock:
            if answer is None:
                return _own(purse, per_second, now)
            # What Redis gave is not had a second time when it goes away: the own bucket fills from now on.
            purse.own, purse.own_at = 0.0, now
            given, seconds = answer
            if not given:
                seconds = max(seconds, _SHORTEST_WAIT)  # rounded to nothing it would read as: go on
                purse.refused_until = now + seconds
                return seconds
            left = purse.leased if now < purse.until else 0  # another thread may have leased meanwhile
            purse.leased, purse.until = left + given - 1, now + _LEASE_SECONDS
            return 0.0


def _own(purse: Purse, per_second: int, now: float) -> float:
    """Take a token from the worker's own bucket, which holds one second's worth."""
    if purse.own < 0:
        purse.own = float(per_second)
    else:
        purse.own = min(float(per_second), purse.own + (now - purse.own_at) * per_second)
    purse.own_at = now
    if purse.own < 1:
        return (1 - purse.own) / per_second
    purse.own -= 1
    return 0.0
