"""Live state: the catalogue, the offers, the rules and the keys in memory, refreshed when a change number grows.

Each worker polls the change numbers and swaps one reference. When the database is away it keeps what it has; when it
is away at the start, a worker has the copy that Redis keeps, or knows nothing and says so. Either way it asks again at
every poll, and once the database answers it is as if it had always done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import sqlalchemy as sa
import structlog

from recsvc import metrics
from recsvc.errors import Unavailable
from recsvc.intake import digest
from recsvc.store import claimed, database, offers
from recsvc.store import facts as facts_store
from recsvc.store import keys as keys_store
from recsvc.store import rules as rules_store
from recsvc.store.customers import customers
from recsvc.store.database import LOAD_SECONDS, MICROSECONDS, PAGE_SECONDS, reading, writing
from recsvc.store.items import items
from recsvc.store.keyfile import KeyFile
from recsvc.store.rules import Rules

log = structlog.get_logger("recsvc.live")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Items and offers as of one change number.

    items: item_id → its row of the database. newest: those with a creation date, newest first. unprofiled: digests of
    customers who want no profile. holders: digests of customers who hold an offer of early access, with these offers.
    since: the change number it was made from, and changed: the items that differ from that one; None where it was
    loaded whole.
    """

    change: int = -1
    items: dict[str, Any] = field(default_factory=dict)
    offers: list[Any] = field(default_factory=list)
    newest: list[Any] = field(default_factory=list)
    unprofiled: frozenset[bytes] = frozenset()
    holders: Mapping[bytes, tuple[str, ...]] = field(default_factory=dict)
    since: int = -1
    changed: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class State:
    """All that is live, as one reference. copied: the database has not answered since the start."""

    facts: facts_store.Facts
    catalogue: Catalogue
    keys: dict[str, keys_store.Key]
    admin: keys_store.Key | None
    copied: bool = False
    rules: Rules = field(default_factory=Rules)

    @property
    def known(self) -> bool:
        """Whether anything is: not before there was a database or a copy of its state."""
        return bool(self.facts.database_id)


NOTHING = State(facts_store.Facts("", b"", -1, -1, 0, -1), Catalogue(), {}, None, copied=True)


class Live:
    """Holds the newest `State`; `refresh` looks for a newer one."""

    def __init__(self, engine: sa.Engine, key_file: KeyFile, copy: Callable[[], State | None] = lambda: None) -> None:
        """Read the database, which may have no tables yet.

        Args:
            copy: asked for the state when the database does not answer.
        """
        self._engine, self._key_file = engine, key_file
        self._lock = threading.Lock()
        self.away = False
        try:
            self.state = replace(self._load(facts_store.read(engine, PAGE_SECONDS)), admin=key_file.read())
        except (sa.exc.SQLAlchemyError, KeyError):
            self.state = replace(copy() or NOTHING, admin=key_file.read())
            self.away = True
            if not self.state.known:
                self.refresh()
            if self.state.copied:
                log.error("database away at the start", copy=self.state.known)
        facts_store.hold_to(engine, lambda: self.state.facts.database_id)

    def refresh(self) -> State:
        """Return the newest state. When the database is away, the last one known."""
        with self._lock:
            admin = self._key_file.read()
            if admin != self.state.admin:
                self.state = replace(self.state, admin=admin)
            try:
                if self.state.copied:
                    self._recover()
                self._look()
                metrics.LIVE.set(time.time())
                self.away = False
            except (sa.exc.SQLAlchemyError, KeyError, Unavailable):
                if not self.away:
                    log.warning("database away, keeping the last state")
                self.away = True
            return self.state

    def _recover(self) -> None:
        """Do what a start does, once the database answers.

        A database whose state is known and that has no tables now is about to be restored: it is left alone.
        """
        if self.state.known:
            facts_store.begun(self._engine)
        else:
            database.make_file(self._engine)
            with reading(self._engine) as connection:
                connection.execute(sa.select(1))
        with reading(self._engine, LOAD_SECONDS):
            database.migrate(self._engine)
        facts_store.ensure(self._engine)
        with writing(self._engine) as connection:  # what was cached before this worker's start is not trusted
            facts_store.advance(connection, "cache_epoch")
        log.info("the database answers")

    def _load(self, facts: facts_store.Facts) -> State:
        catalogue, keys = load_catalogue(self._engine, facts.catalogue), keys_store.load(self._engine)
        return State(facts, catalogue, keys, None, rules=rules_store.load(self._engine, facts.rules))

    def _look(self) -> None:
        old, facts = self.state, facts_store.read(self._engine)
        if facts == old.facts:
            return
        if old.known and facts.database_id != old.facts.database_id:
            self._engine.dispose()  # the connections that are open know no better; new ones are refused
            raise Unavailable("another database stands where the shop's was")
        if old.copied:
            self.state = replace(self._load(facts), admin=old.admin)
            return
        catalogue, keys, rules = old.catalogue, old.keys, old.rules
        if facts.catalogue != old.facts.catalogue:
            catalogue = renew(self._engine, old.catalogue, facts.catalogue)
        if facts.keys != old.facts.keys:
            keys = keys_store.load(self._engine)
        if facts.rules != old.facts.rules:
            rules = rules_store.load(self._engine, facts.rules)
        self.state = replace(old, facts=facts, catalogue=catalogue, keys=keys, rules=rules)


def load_catalogue(engine: sa.Engine, change: int) -> Catalogue:
    """Return all items and offers. `change` was read before them, so what came between is loaded again."""
    with reading(engine, LOAD_SECONDS) as connection:
        found = {row.item_id: row for row in connection.execute(_items().where(sa.not_(items.c.deleted)))}
        listed = offers.load(connection)
        return Catalogue(change, found, listed, _newest(found), _unprofiled(connection), _holders(connection, listed))


def renew(engine: sa.Engine, old: Catalogue, change: int) -> Catalogue:
    """Return the catalogue as of `change`, reading the items written since `old`. Offers are few and read whole."""
    with reading(engine, LOAD_SECONDS) as connection:
        rows = connection.execute(_items().where(items.c.change > old.change)).all()
        found = dict(old.items)
        for row in rows:
            if row.deleted:
                found.pop(row.item_id, None)
            else:
                found[row.item_id] = row
        # Sorting the whole catalogue costs some ten milliseconds; stock and price, which change all day, need none.
        moved = any(_dated(old.items.get(row.item_id)) != _dated(found.get(row.item_id)) for row in rows)
        swapped = {row.item_id: row for row in rows}
        newest = _newest(found) if moved else [swapped.get(one.item_id, one) for one in old.newest]
        listed = offers.load(connection)
        holders = _holders(connection, listed)
        return Catalogue(
            change, found, listed, newest, _unprofiled(connection), holders, old.change, frozenset(swapped)
        )


def item_columns() -> list[sa.ColumnElement[Any]]:
    """Return the columns of an item that are held, its id first. `change`: at which it was last written. `attributes`
    as the text that is stored, NULL for none: 68,000 objects would take five times the room, in every worker."""
    t = items.c
    attributes = sa.func.nullif(sa.type_coerce(t.attributes, sa.Text), "{}").label("attributes")
    return [
        t.item_id, t.parent_id, t.title, t.categories, t.brand, t.price_cents, t.currency, t.stock, t.active,
        t.sensitive, t.created_at, t.available_from, t.available_to, t.repeatable, t.image_url, t.url, attributes,
        t.change, t.deleted,
    ]  # fmt: skip


def _items() -> sa.Select[Any]:
    return sa.select(*item_columns())


def _unprofiled(connection: sa.Connection) -> frozenset[bytes]:
    found = connection.scalars(sa.select(customers.c.customer_id).where(customers.c.profiling.is_(False)))
    return frozenset(digest(customer_id) for customer_id in found)


def _holders(connection: sa.Connection, listed: list[Any]) -> dict[bytes, tuple[str, ...]]:
    early = [one.offer_id for one in listed if one.kind == "early_access" and one.active]
    found: dict[bytes, tuple[str, ...]] = {}
    for offer_id, customer_id in claimed.holders(connection, early) if early else ():
        found[digest(customer_id)] = (*found.get(digest(customer_id), ()), offer_id)
    return found


def _newest(found: dict[str, Any]) -> list[Any]:
    return sorted((one for one in found.values() if one.created_at), key=lambda one: (-one.created_at, one.item_id))


def _dated(row: Any) -> int | None:
    return None if row is None else row.created_at


def columns(catalogue: Catalogue, item_ids: list[str]) -> tuple[Any, Any, Any, Any, Any]:
    """Return what the catalogue says of items, aligned with `item_ids`: active (n,) bool, stock (n,) float64 with
    infinity for unlimited, opens_at and closes_at (n,) float64 epoch seconds, sensitive (n,) bool.

    An item that the catalogue does not have is inactive, and named nowhere: its title went with it.
    """
    found = [catalogue.items.get(item_id) for item_id in item_ids]
    inf = float("inf")
    return (
        np.array([bool(one and one.active) for one in found], bool),
        np.array([inf if one is None or one.stock is None else one.stock for one in found], np.float64),
        np.array([_seconds(one and one.available_from, -inf) for one in found], np.float64),
        np.array([_seconds(one and one.available_to, inf) for one in found], np.float64),
        np.array([one is None or bool(one.sensitive) for one in found], bool),
    )


def changes(catalogue: Catalogue, item_ids: list[str]) -> Any:
    """Return (n,) int64: the change number at which each item was last written; for an item that the catalogue does not
    have, that of the catalogue."""
    found = [catalogue.items.get(item_id) for item_id in item_ids]
    return np.array([catalogue.change if one is None else one.change for one in found], np.int64)


def alike(one: Any, other: Any) -> bool:
    """Whether two rows of an item differ in stock alone, if at all."""
    if one is None or other is None:
        return one is other
    names = [position for position, column in enumerate(item_columns()) if column.name not in {"stock", "change"}]
    return all(one[position] == other[position] for position in names)


def _seconds(micro: int | None, otherwise: float) -> float:
    return otherwise if micro is None else micro / MICROSECONDS
