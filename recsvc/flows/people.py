"""People: a customer as offers look at them: who they are, what they did, how they may be reached, what was shown and
claimed before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sqlalchemy as sa

from recsvc.engine import channels, timing
from recsvc.engine.channels import Contact
from recsvc.engine.conditions import ATTRIBUTES, Fact
from recsvc.engine.history import DAY, EMPTY
from recsvc.engine.refusals import Person, Used
from recsvc.engine.session import NOTHING
from recsvc.engine.standing import NEUTRAL, Standing, contact_cap
from recsvc.flows import customers, karma, terms
from recsvc.flows.current import Snapshot
from recsvc.flows.customers import Known
from recsvc.flows.shop import Shop
from recsvc.store import catalogue, claimed, interactions, sends
from recsvc.store.customers import customers as table
from recsvc.store.database import MICROSECONDS, reading

# Says against a channel, or nothing of it: what the customer did not do.
NOT_THEIRS = ("impression", "offer_shown", "unsubscribe", "delivery_late")


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where a customer is met: what lies in the cart, and at which moment (epoch seconds)."""

    cart: tuple[str, ...] = ()
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class Guest:
    """A customer of whom offers are asked. known: what they did. person: without the facts of a channel. used: what was
    given out of every offer. away: the database could not be asked, so limits and consent are not known."""

    customer_id: str
    known: Known
    row: Mapping[str, Any]
    standing: Standing
    contact: Contact
    held: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    shown: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    used: Mapping[tuple[str, str], Used] = field(default_factory=dict)
    away: bool = False

    def person(self, snapshot: Snapshot, meeting: Meeting, channel: str, groups: Mapping[str, str]) -> Person:
        """Return the customer as the engine judges them. groups: offer → its exclusive group."""
        held = {groups[one]: one for one, (count, _) in self.held.items() if count and one in groups}
        facts = FactBook(snapshot, self, meeting, channel)
        return Person(facts, self.standing.value, self.held, self.shown, held)


def meet(shop: Shop, snapshot: Snapshot, customer_id: str, now: float, channel: str | None) -> Guest:
    """Return a customer as of now. Never fails: without the database nothing is known beyond the model.

    Args:
        channel: through which they are reached; only what goes out by itself needs to know of contacts.
    """
    found = known(shop, snapshot, customer_id, now)
    if found.away:
        return Guest(customer_id, found, {}, NEUTRAL, Contact(), away=True)
    try:
        with reading(shop.engine) as connection:
            return read(connection, snapshot, found, customer_id, now, channel)
    except sa.exc.SQLAlchemyError:
        return Guest(customer_id, found, {}, NEUTRAL, Contact(), away=True)


def known(shop: Shop, snapshot: Snapshot, customer_id: str, now: float) -> Known:
    """Return what a customer did; without a model nothing."""
    if snapshot.model is None:
        return Known(-1, EMPTY, False, 0, NOTHING, EMPTY.item_rows, away=bool(snapshot.state.copied))
    return customers.look_up(shop.engine, snapshot, customer_id, now)


def read(
    connection: sa.Connection, snapshot: Snapshot, known: Known, customer_id: str, now: float, channel: str | None
) -> Guest:  # fmt: skip
    """Return a customer as a connection sees them, in a transaction too.

    Raises:
        sa.exc.SQLAlchemyError: the database is away.
    """
    row = catalogue.get(connection, table, customer_id) or {}
    standing = karma.standing(connection, customer_id, now)
    contact = Contact()
    if channel is not None and (channel == channels.BEST or channel in channels.CONTACTS):
        contact = _contact(connection, row, standing, customer_id, now)
    limited = snapshot.offered is not None and snapshot.offered.limited
    return Guest(
        customer_id, known, row, standing, contact,
        {one: (held.held, held.claimed_at) for one, held in claimed.of_customer(connection, customer_id).items()},
        {one: (times, at / MICROSECONDS) for one, (times, at) in _shown(connection, snapshot, customer_id).items()},
        {key: Used(u.held, u.redeemed, u.held_cents, u.redeemed_cents) for key, u in
         claimed.usage(connection, set(terms.periods(now).values())).items()}
        if limited else {},
    )  # fmt: skip


def _shown(connection: sa.Connection, snapshot: Snapshot, customer_id: str) -> dict[str, tuple[int, int]]:
    if snapshot.offered is None or not snapshot.offered.limited:
        return {}
    return interactions.offers_shown(connection, customer_id)


def _contact(
    connection: sa.Connection, row: Mapping[str, Any], standing: Standing, customer_id: str, now: float
) -> Contact:  # fmt: skip
    found = interactions.channels(connection, customer_id, NOT_THEIRS)
    names = sorted({name for name, _ in found})
    codes = np.array([names.index(name) for name, _ in found], np.int64)
    at = np.array([micro / MICROSECONDS for _, micro in found], np.float64)
    cap = row.get("contact_cap")
    return Contact(
        row.get("consent") or {}, row.get("preferred_channel"),
        [names[code] for code in timing.ranked(codes, at, now).tolist()] if names else [],
        channels.quiet_span(row.get("quiet_hours")), row.get("time_zone"),
        contact_cap(cap, standing),
        sends.contacts(connection, customer_id, round((now - channels.CAP_DAYS * DAY) * MICROSECONDS)),
    )  # fmt: skip


class FactBook(dict[str, Fact]):
    """What conditions may ask of a customer; each fact is worked out when it is first asked for."""

    def __init__(self, snapshot: Snapshot, guest: Guest, meeting: Meeting, channel: str) -> None:
        super().__init__()
        self._snapshot, self._guest, self._meeting, self._channel = snapshot, guest, meeting, channel

    def __missing__(self, field: str) -> Fact:
        if field.startswith(ATTRIBUTES):
            found = _scalar((self._guest.row.get("attributes") or {}).get(field.removeprefix(ATTRIBUTES)))
        else:
            found = _FACTS[field](self)
        self[field] = found
        return found

    def declared(self, name: str) -> Fact:
        """Return what the shop wrote of the customer."""
        return _scalar(self._guest.row.get(name))

    def bought(self) -> frozenset[str]:
        """Return the ids of what they bought, as far as the model knows the items."""
        model, history = self._snapshot.model, self._guest.known.history
        if model is None:
            return frozenset()
        return frozenset(model.item_ids[row] for row in history.item_rows[history.orders > 0].tolist())

    def orders(self) -> Fact:
        """Return how often they ordered."""
        return float(self._guest.known.history.visits)

    def days_since_order(self) -> Fact:
        """Return the days since their last order; None without one."""
        last = float(self._guest.known.history.last_at.max(initial=0))
        return max(self._meeting.now - last, 0.0) / DAY if last else None

    def categories(self, item_ids: Sequence[str] | frozenset[str]) -> Fact:
        """Return the categories of items."""
        items = self._snapshot.catalogue.items
        return frozenset(name for one in item_ids if one in items for name in items[one].categories or ())

    def cart(self) -> tuple[str, ...]:
        """Return what lies in the cart, a line each."""
        return self._meeting.cart

    def cart_value(self) -> Fact:
        """Return the sum of the prices in the cart."""
        items = self._snapshot.catalogue.items
        return float(sum((items[one].price_cents or 0) for one in self._meeting.cart if one in items))

    def karma(self) -> Fact:
        """Return the customer's karma."""
        return float(self._guest.standing.value)

    def channel(self) -> Fact:
        """Return the channel that is decided."""
        return self._channel

    def local(self) -> Any:
        """Return the local time of the customer."""
        return channels.local(self._guest.row.get("time_zone"), self._meeting.now)


_FACTS: dict[str, Callable[[FactBook], Fact]] = {
    "customer.tier": lambda facts: facts.declared("tier"),
    "customer.segment": lambda facts: facts.declared("segment"),
    "customer.locale": lambda facts: facts.declared("locale"),
    "customer.time_zone": lambda facts: facts.declared("time_zone"),
    "customer.preferred_channel": lambda facts: facts.declared("preferred_channel"),
    "customer.preferences": lambda facts: facts.declared("preferences"),
    "history.orders": FactBook.orders,
    "history.items": lambda facts: float(len(facts.bought())),
    "history.days_since_order": FactBook.days_since_order,
    "history.item_id": FactBook.bought,
    "history.category": lambda facts: facts.categories(facts.bought()),
    "karma.customer": FactBook.karma,
    "cart.items": lambda facts: float(len(facts.cart())),
    "cart.item_id": lambda facts: frozenset(facts.cart()),
    "cart.category": lambda facts: facts.categories(facts.cart()),
    "cart.value_cents": FactBook.cart_value,
    "channel": FactBook.channel,
    "time.hour": lambda facts: float(facts.local().hour),
    "time.weekday": lambda facts: float(facts.local().isoweekday()),
    "time.date": lambda facts: facts.local().date().isoformat(),
}


def _scalar(value: Any) -> Fact:
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        return float(value) if abs(value) <= 1e300 else None
    if isinstance(value, list):
        return frozenset(one for one in map(_scalar, value) if isinstance(one, (str, float, bool))) or None
    return None
