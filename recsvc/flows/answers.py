"""Answers: from the cache when the stamp holds, else made now and kept.

Every authenticated call gets an answer: without Redis it is computed, without the database it lacks what came
since the model, without a model it shows what sells. The answer says which.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from recsvc import metrics
from recsvc.concepts import Generator, Reason, Source
from recsvc.engine.eligibility import Shelf
from recsvc.engine.model import Model
from recsvc.flows import customers, replies, texts
from recsvc.flows.current import Snapshot
from recsvc.flows.customers import Known
from recsvc.flows.replies import Answer
from recsvc.flows.shop import Shop
from recsvc.store.cache import AWAY, Found, Stamp
from recsvc.store.database import MICROSECONDS

_FOREVER = 1e12  # JSON has no infinity


@dataclass(frozen=True, slots=True)
class Ask:
    """One question. placement: as the reply names it. customer_id: None for what is the same for everybody.
    item_id: what the list is about. For the list of a shop without a model: limit, category, exclude; with `popular`
    False that list is empty. Every field is part of the name under which the answer is cached."""

    placement: str
    customer_id: str | None
    limit: int
    category: str | None = None
    exclude: tuple[str, ...] = ()
    popular: bool = True
    item_id: str | None = None
    window_days: int | None = None
    min_p: float | None = None

    @property
    def name(self) -> str:
        """The name in the cache: a hash, in which no two questions meet."""
        return hashlib.blake2b(msgspec.json.encode(self), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class View:
    """What one list is made from."""

    shop: Shop
    snapshot: Snapshot
    model: Model
    shelf: Shelf
    now: float


Make = Callable[[View], tuple[dict[str, Any], Known | None]]
"""Makes a reply, and says what was known of the customer, when there is one."""


def answer(shop: Shop, ask: Ask, make: Make) -> Answer:
    """Return the cached answer when its stamp holds, else make it and keep it."""
    snapshot, now = shop.current.snapshot, shop.clock()
    if snapshot.shelf is not None and now >= snapshot.shelf.until:
        snapshot = shop.current.settle(now)
    if snapshot.model is None or snapshot.shelf is None:
        return _without_model(shop, snapshot, now, ask)
    if snapshot.state.copied:  # what was cached before this worker's start cannot be declared void now
        reply, _ = make(View(shop, snapshot, snapshot.model, snapshot.shelf, now))
        metrics.LISTS.labels(reply["source"], reply["fallback"] or "none").inc()
        return Answer(replies.encode(reply), "miss", ("database",), reply["source"])
    prefix = customers.cache_prefix(snapshot.state.facts, ask.customer_id or "")
    found = AWAY if shop.pending.holds(prefix) else shop.cache.fetch(prefix, ask.name)
    away = ("redis",) if found.away and shop.cache.configured else ()
    if _holds(snapshot, found, ask, now):
        metrics.CACHE.labels("hit").inc()
        return Answer(found.body, "hit", away, found.stamp.source if found.stamp else "")
    metrics.CACHE.labels("away" if found.away else "mismatch" if found.stamp else "miss").inc()
    reply, known = make(View(shop, snapshot, snapshot.model, snapshot.shelf, now))
    body = replies.encode(reply)
    metrics.LISTS.labels(reply["source"], reply["fallback"] or "none").inc()
    if known is not None and known.away:
        return Answer(body, "miss", (*away, "database"), reply["source"])
    revision = known.revision if known else 0
    until = min(snapshot.shelf.until, _FOREVER)
    stamp = Stamp(snapshot.version, revision, snapshot.catalogue.change, until, source=reply["source"])
    shop.cache.keep(prefix, ask.name, stamp, body)
    if known is not None:
        shop.cache.advance(prefix, revision)
    return Answer(body, "miss", away, reply["source"])


def _holds(snapshot: Snapshot, found: Found, ask: Ask, now: float) -> bool:
    """Whether a cached answer is still what would be made now."""
    if found.stamp is None:
        return False
    revision = 0
    if ask.customer_id is not None:
        if found.revision is None:
            return False  # nobody knows whether something came since; the store will say
        revision = found.revision if found.revision > customers.seen_until(snapshot) else 0
    stamp = found.stamp
    return (
        stamp.version == snapshot.version and stamp.catalogue == snapshot.catalogue.change
        and stamp.revision == revision and now < stamp.until
    )  # fmt: skip


def _without_model(shop: Shop, snapshot: Snapshot, now: float, ask: Ask) -> Answer:
    """Return what sells, as the store had it at most a minute ago; else what is in the catalogue. Nothing is cached."""
    degraded: tuple[str, ...] = ("model",)
    catalogue = snapshot.catalogue.items
    ranked: list[tuple[str, int]] = []
    if ask.popular:
        sold = shop.current.sold(now)
        degraded = ("model",) if sold is not None else ("database", "model")
        known = dict(sold or [])
        ranked = [(item_id, count) for item_id, count in known.items() if item_id in catalogue]
        ranked += [(item_id, 0) for item_id in catalogue if item_id not in known]
    reason = {"code": Reason.FALLBACK.value, "item_id": None, "share": 1.0, "text": texts.say(Reason.FALLBACK)}
    items: list[dict[str, Any]] = []
    for item_id, count in ranked:
        one = catalogue[item_id]
        if len(items) == ask.limit:
            break
        if one.sensitive or item_id in ask.exclude or item_id == ask.item_id or not may_show(one, now):
            continue
        if ask.category is None or ask.category in one.categories:
            items.append(replies.item(snapshot, item_id, float(count), Generator.POPULARITY.value, dict(reason)))
    reply = replies.envelope(snapshot, now, ask.placement, ask.customer_id, Source.FALLBACK, "bestsellers", items)
    if ask.item_id is not None:
        reply["item_id"] = ask.item_id
    return Answer(replies.encode(reply), "miss", degraded, Source.FALLBACK.value)


def may_show(item: Any, now: float) -> bool:
    """Whether the catalogue lets an item be shown at `now` (epoch seconds)."""
    micro = now * MICROSECONDS
    return bool(
        item.active and (item.stock is None or item.stock > 0)
        and (item.available_from is None or item.available_from <= micro)
        and (item.available_to is None or micro < item.available_to)
    )  # fmt: skip
