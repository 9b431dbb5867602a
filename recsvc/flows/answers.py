"""Answers: from the cache when the stamp holds, else made now and kept.

Every authenticated call gets an answer: without Redis it is computed, without the database it lacks what came
since the model, without a model it shows what sells. The answer says which.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from recsvc import metrics
from recsvc.concepts import Generator, Reason, Source
from recsvc.engine import filters
from recsvc.engine.eligibility import Shelf
from recsvc.engine.filters import Filter
from recsvc.engine.model import Model
from recsvc.flows import cached, replies, rulebooks, stamps, texts
from recsvc.flows.cached import Look
from recsvc.flows.current import Snapshot
from recsvc.flows.customers import Known
from recsvc.flows.replies import Answer
from recsvc.flows.shop import Shop
from recsvc.flows.stamps import Made
from recsvc.store.cache import Kept
from recsvc.store.database import MICROSECONDS
from recsvc.store.memory import Entry


@dataclass(frozen=True, slots=True)
class Ask:
    """One question. placement: as the reply names it. customer_id: None for what is the same for everybody.
    item_id: what the list is about. For the list of a shop without a model: limit, category, exclude, wanted, offset;
    with `popular` False that list is empty. asked: whatever else was asked. keep: whether the answer may be cached; one
    with chance in it may not. Every field is part of the name under which the answer is cached; the customer is part of
    the key before it."""

    placement: str
    customer_id: str | None
    limit: int
    category: str | None = None
    exclude: tuple[str, ...] = ()
    popular: bool = True
    item_id: str | None = None
    window_days: int | None = None
    wanted: Filter | None = None
    offset: int = 0
    asked: Any = None
    keep: bool = True

    @property
    def name(self) -> str:
        """The name in the cache below the customer's prefix: a hash, in which no two questions meet."""
        parts = (
            self.placement, self.limit, self.category, self.exclude, self.popular, self.item_id, self.window_days,
            self.wanted, self.offset, self.asked, self.keep,
        )  # fmt: skip
        # A shop asks few questions, of many customers; some hold what has no hash.
        try:
            return _known_name(parts)
        except TypeError:
            return _name(parts)


def _name(parts: tuple[Any, ...]) -> str:
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()


_known_name = functools.lru_cache(1024)(_name)


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
    """Return the cached answer when it stands, else make it and keep it."""
    snapshot, now = at_hand(shop)
    if snapshot.model is None or snapshot.shelf is None:
        reply, degraded = without_model(shop, snapshot, now, ask)
        return Answer(replies.encode(reply), "miss", degraded, Source.FALLBACK.value)
    view = View(shop, snapshot, snapshot.model, snapshot.shelf, now)
    if snapshot.state.copied:  # what was cached before this worker's start cannot be declared void now
        return replace(_make(view, ask, make, None).answer, degraded=("database",))
    if not ask.keep:
        return _make(view, ask, make, None).answer
    look = cached.look(shop, snapshot, ask.customer_id, ask.name, now)
    if look.entry is not None and not look.late:
        return _found(look, look.entry, "hit")
    with shop.flights.join(look.key) as (flight, leads):
        if not leads and look.entry is not None:
            return _found(look, look.entry, "stale")
        # Who leads may have looked before another's answer was there.
        entry = shop.memory.get(look.key) if leads else flight.wait()
        if entry is not None and cached.shared(snapshot, entry, ask.customer_id, look, now):
            return _found(look, entry, "hit")
        made = _make(view, ask, make, look)
        flight.entry = made.entry if leads else flight.entry
        return made.answer


def epoch(shop: Shop) -> int:
    """Return a number that is another one when the same question may mean another thing."""
    return shop.current.snapshot.state.rules.change


def at_hand(shop: Shop) -> tuple[Snapshot, float]:
    """Return what to answer from at this moment, and the moment."""
    snapshot, now = shop.current.snapshot, shop.clock()
    if snapshot.shelf is not None and now >= snapshot.shelf.until:
        snapshot = shop.current.settle(now)
    return snapshot, now


@dataclass(frozen=True, slots=True)
class Done:
    """An answer that was made now, and as what it was kept, when it was."""

    answer: Answer
    entry: Entry | None = None


def _make(view: View, ask: Ask, make: Make, look: Look | None) -> Done:
    """Make an answer and keep it under `look`; nothing is kept of what lacks something."""
    shop, asked_at = view.shop, time.monotonic()
    reply, known = make(view)
    body = replies.encode(reply)
    metrics.LISTS.labels(reply["source"], reply["fallback"] or "none").inc()
    away = ("redis",) if look is not None and look.away else ()
    if known is not None and known.away:
        return Done(Answer(body, "miss", (*away, "database"), reply["source"]))
    if look is None:
        return Done(Answer(body, "miss", away, reply["source"]))
    revision = known.revision if known else 0
    stamp = stamps.stamped(view.snapshot, Made(reply, body, ask.customer_id, revision))
    settings = view.snapshot.state.rules.placements.get(ask.placement)
    kept = Kept(stamp, body, None if known is None else revision, settings and settings.cache_seconds)
    entry = cached.keep(shop, look, kept, asked_at, view.now)
    return Done(Answer(body, "miss", away, reply["source"], stamp.etag), entry)


def _found(look: Look, entry: Entry, cache: str) -> Answer:
    away = ("redis",) if look.away else ()
    return Answer(entry.body, cache, away, entry.stamp.source, entry.stamp.etag)


def without_model(shop: Shop, snapshot: Snapshot, now: float, ask: Ask) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what sells, as the store had it at most a minute ago; else what is in the catalogue; and what was away.
    Nothing is cached."""
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
    wanted = rulebooks.through(snapshot.state.rules, ask.placement, now)
    if ask.wanted is not None:
        wanted = Filter("all", parts=(wanted, ask.wanted))
    items: list[dict[str, Any]] = []
    for item_id, count in ranked:
        one = catalogue[item_id]
        if len(items) == ask.offset + ask.limit:
            break
        if one.sensitive or item_id in ask.exclude or item_id == ask.item_id or not may_show(one, now):
            continue
        if not filters.matches(wanted, one):
            continue
        if ask.category is None or ask.category in one.categories:
            items.append(replies.item(snapshot, item_id, float(count), Generator.POPULARITY.value, dict(reason)))
    reply = replies.envelope(
        snapshot, now, ask.placement, ask.customer_id, Source.FALLBACK, "bestsellers", items[ask.offset :], ask.offset
    )
    if ask.item_id is not None:
        reply["item_id"] = ask.item_id
    return reply, degraded


def may_show(item: Any, now: float) -> bool:
    """Whether the catalogue lets an item be shown at `now` (epoch seconds)."""
    micro = now * MICROSECONDS
    return bool(
        item.active and (item.stock is None or item.stock > 0)
        and (item.available_from is None or item.available_from <= micro)
        and (item.available_to is None or micro < item.available_to)
    )  # fmt: skip
