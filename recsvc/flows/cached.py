"""Looking an answer up: in this process first, then in Redis, in one round trip with the customer's revision."""

from __future__ import annotations

import time
from dataclasses import dataclass

from recsvc import metrics
from recsvc.flows import customers, stamps
from recsvc.flows.current import Snapshot
from recsvc.flows.shop import Shop
from recsvc.store.cache import AWAY, Kept
from recsvc.store.memory import Entry


@dataclass(frozen=True, slots=True)
class Look:
    """What a look-up found. entry: the answer, when it stands. late: it does, but it is old. away: Redis did not
    answer. revision: the customer's newest, 0 when nobody knows of one."""

    prefix: str
    name: str
    entry: Entry | None = None
    late: bool = False
    away: bool = False
    revision: int = 0

    @property
    def key(self) -> str:
        """The key of the answer."""
        return f"{self.prefix}:{self.name}"


def look(shop: Shop, snapshot: Snapshot, customer_id: str | None, name: str, now: float) -> Look:
    """Return what is known of the answer `name`."""
    wanted = Look(customers.cache_prefix(snapshot.state.facts, customer_id or ""), name)
    heard, asked_at = shop.memory.heard(wanted.prefix), time.monotonic()
    near = shop.memory.get(wanted.key)
    if near is not None and now < near.stamp.late_at:
        revision = max(near.stamp.revision, heard)
        if stamps.stands(snapshot, near.stamp, customer_id, revision, now):
            metrics.CACHE.labels("near").inc()
            return Look(wanted.prefix, wanted.name, near, revision=revision)
    found = AWAY if shop.pending.holds(wanted.prefix) else shop.cache.fetch(wanted.prefix, wanted.name)
    away = found.away and shop.cache.configured
    revision = max(found.revision or 0, heard)
    # Where nobody knows whether something came since, the store will say.
    known = customer_id is None or found.revision is not None
    if found.stamp is None or not known or not stamps.stands(snapshot, found.stamp, customer_id, revision, now):
        metrics.CACHE.labels("away" if found.away else "mismatch" if found.stamp else "miss").inc()
        return Look(wanted.prefix, wanted.name, away=away, revision=revision)
    entry, late = Entry(found.stamp, found.body, asked_at), now >= found.stamp.late_at
    metrics.CACHE.labels("late" if late else "hit").inc()
    if not late:
        shop.memory.put(wanted.key, entry)
    return Look(wanted.prefix, wanted.name, entry, late, away, revision)


def keep(shop: Shop, wanted: Look, kept: Kept, asked_at: float, now: float) -> Entry:
    """Keep an answer in Redis and in this process, and return it as an entry.

    Args:
        asked_at: when making it began, by the monotonic clock.
    """
    entry = Entry(shop.cache.keep(wanted.prefix, wanted.name, kept, now), kept.body, asked_at)
    if not wanted.away and shop.cache.configured:
        shop.memory.put(wanted.key, entry)
    return entry


def shared(snapshot: Snapshot, entry: Entry, customer_id: str | None, wanted: Look, now: float) -> bool:
    """Whether what another request just made answers this one too."""
    revision = max(wanted.revision, entry.stamp.revision)
    return now < entry.stamp.late_at and stamps.stands(snapshot, entry.stamp, customer_id, revision, now)
