"""Live state: the catalogue, the offers and the keys in memory, refreshed when a change number grows.

Each worker polls the change numbers and swaps one reference. When the database is away it keeps what it has.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import sqlalchemy as sa
import structlog

from recsvc.store import facts as facts_store
from recsvc.store import keys as keys_store
from recsvc.store.database import LOAD_SECONDS, MICROSECONDS, reading
from recsvc.store.items import items
from recsvc.store.offers import offers

log = structlog.get_logger("recsvc.live")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Items and offers as of one change number. `items` maps item_id to its row of the database; `newest` has
    those with a creation date, newest first."""

    change: int = -1
    items: dict[str, Any] = field(default_factory=dict)
    offers: list[Any] = field(default_factory=list)
    newest: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class State:
    """All that is live, as one reference."""

    facts: facts_store.Facts
    catalogue: Catalogue
    keys: dict[str, bytes]


class Live:
    """Holds the newest `State`; `refresh` looks for a newer one."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        facts = facts_store.ensure(engine)
        self.state = State(facts, load_catalogue(engine, facts.catalogue), keys_store.load(engine))
        self.away = False

    def refresh(self) -> State:
        """Return the newest state. When the database is away, the last one known."""
        with self._lock:
            try:
                self._look()
                self.away = False
            except sa.exc.SQLAlchemyError:
                if not self.away:
                    log.warning("database away, keeping the last state")
                self.away = True
            return self.state

    def _look(self) -> None:
        old, facts = self.state, facts_store.read(self._engine)
        if facts == old.facts:
            return
        catalogue, keys = old.catalogue, old.keys
        if facts.catalogue != old.facts.catalogue:
            catalogue = load_catalogue(self._engine, facts.catalogue)
        if facts.keys != old.facts.keys:
            keys = keys_store.load(self._engine)
        self.state = replace(old, facts=facts, catalogue=catalogue, keys=keys)


def load_catalogue(engine: sa.Engine, change: int) -> Catalogue:
    """Return all items and offers. `change` was read before them, so what came between is loaded again."""
    t = items.c
    wanted = (
        t.item_id, t.title, t.categories, t.brand, t.price_cents, t.currency, t.stock, t.active, t.sensitive,
        t.created_at, t.available_from, t.available_to,
    )  # fmt: skip
    with reading(engine, LOAD_SECONDS) as connection:
        found = {row.item_id: row for row in connection.execute(sa.select(*wanted))}
        all_offers = list(connection.execute(sa.select(offers).order_by(offers.c.offer_id)))
    newest = sorted((one for one in found.values() if one.created_at), key=lambda one: (-one.created_at, one.item_id))
    return Catalogue(change, found, all_offers, newest)


def columns(catalogue: Catalogue, item_ids: list[str]) -> tuple[Any, Any, Any, Any, Any]:
    """Return what the catalogue says of items, aligned with `item_ids`: active (n,) bool, stock (n,) float64 with
    infinity for unlimited, opens_at and closes_at (n,) float64 epoch seconds, sensitive (n,) bool.

    An item that the catalogue does not have is inactive.
    """
    found = [catalogue.items.get(item_id) for item_id in item_ids]
    inf = float("inf")
    return (
        np.array([bool(one and one.active) for one in found], bool),
        np.array([inf if one is None or one.stock is None else one.stock for one in found], np.float64),
        np.array([_seconds(one and one.available_from, -inf) for one in found], np.float64),
        np.array([_seconds(one and one.available_to, inf) for one in found], np.float64),
        np.array([bool(one and one.sensitive) for one in found], bool),
    )


def _seconds(micro: int | None, otherwise: float) -> float:
    return otherwise if micro is None else micro / MICROSECONDS
