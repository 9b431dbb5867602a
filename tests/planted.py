"""A planted shop: 120 customers of two tastes, 60 items, a year of weekly orders; what must come out is known.

Customers c0…c59 drink coffee: they buy from coffee-00…29. Customers c60…c119 drink tea: tea-00…29.
`coffee-00` and `coffee-01` are always bought in one order. Everybody has a few favourites they buy again.
`coffee-29` is inactive, `tea-29` is sensitive, `tea-28` is out of stock, `new-00` was never bought.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from recsvc.intake import digest
from recsvc.store import customers, interactions, items, offers
from training import run
from training.config import Config

WEEKS = 30
EACH = 30
CUSTOMERS = 120


class Quiet:
    """A progress that says nothing."""

    def step(self, name: str, total: int | None = None) -> None:
        """Begin a part."""

    def at(self, done: int) -> None:
        """Say how far."""


def plant(engine: sa.Engine, now: datetime, artifacts: Path | None) -> run.Outcome | None:
    """Fill the store and, when told where, train."""
    items.put(engine, catalogue(now))
    customers.put(
        engine,
        [
            {"customer_id": f"c{n}", "segment": "coffee" if n < CUSTOMERS // 2 else "tea", "attributes": {}}
            for n in range(CUSTOMERS)
        ]
        + [{"customer_id": "cold-tea", "segment": "tea", "attributes": {}}],
    )
    offers.put(engine, book(now))
    interactions.append_many(engine, history(now))
    return run.train(engine, artifacts, small(), Quiet()) if artifacts else None


def small() -> Config:
    """A configuration that fits a small shop in a second."""
    return Config.model_validate(
        {"als": {"factors": 8, "iterations": 5, "regularization": 1.0, "alpha": 5.0}, "threads": 1}
    )


def catalogue(now: datetime) -> list[dict[str, Any]]:
    """The items."""
    rows = [_item(f"{kind}-{n:02}", kind, now) for kind in ("coffee", "tea") for n in range(EACH)]
    by_id = {row["item_id"]: row for row in rows}
    by_id["coffee-29"]["active"] = False
    by_id["tea-29"]["sensitive"] = True
    by_id["tea-28"]["stock"] = 0
    new = _item("new-00", "coffee", now)
    new["created_at"] = _micro(now - timedelta(days=2))
    return [*rows, new]


def book(now: datetime) -> list[dict[str, Any]]:
    """The offers: one on coffee, one on tea, one that has ended, one that has not begun, one switched off."""
    day = timedelta(days=1)

    def offer(offer_id: str, of: list[str], start: timedelta, end: timedelta, active: bool = True) -> dict[str, Any]:
        return {
            "offer_id": offer_id, "name": offer_id, "kind": "discount", "benefit": "off", "value_cents": 100,
            "cost_cents": 50, "currency": "EUR", "starts_at": _micro(now + start), "ends_at": _micro(now + end),
            "active": active, "items": of, "attributes": {"estimated": ["value_cents"]},
        }  # fmt: skip

    coffee = [f"coffee-{n:02}" for n in range(10)]
    tea = [f"tea-{n:02}" for n in range(10)]
    return [
        offer("on-coffee", coffee, -day, day), offer("on-tea", tea, -day, day),
        offer("ended", coffee, -2 * day, -day), offer("to-come", coffee, day, 2 * day),
        offer("off", coffee, -day, day, active=False), offer("delicate", ["tea-29"], -day, day),
    ]  # fmt: skip


def history(now: datetime) -> list[tuple[Any, ...]]:
    """The purchases, as rows of the store. Counted from the next midnight, so that the hour of a test changes nothing;
    the newest is two days old."""
    rng = np.random.default_rng(7)
    now = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    rows = []
    for customer in range(CUSTOMERS):
        kind = "coffee" if customer < CUSTOMERS // 2 else "tea"
        favourites = rng.choice(EACH, 3, replace=False)
        for week in range(WEEKS):
            at = now - timedelta(weeks=WEEKS - week, hours=-int(rng.integers(1, 100)))
            basket = {int(rng.choice(favourites)), int(rng.integers(EACH)), int(rng.integers(EACH))}
            basket |= {0, 1} if basket & {0, 1} else set()
            rows += [_purchase(f"c{customer}", f"{kind}-{n:02}", at, f"o-{customer}-{week}") for n in sorted(basket)]
    return rows


def interaction(customer_id: str | None, item_id: str | None, kind: str, at: datetime, **more: Any) -> tuple[Any, ...]:
    """One row of the store."""
    row = {"customer_id": customer_id, "item_id": item_id, "kind": kind, "occurred_at": _micro(at), **more}
    name = more.pop("interaction_id", f"{customer_id}-{item_id}-{kind}-{at.isoformat()}-{more.get('order_id')}")
    row["digest"] = digest(name)
    return tuple(row.get(column) for column in interactions.COLUMNS)


def append_one(connection: sa.Connection, row: dict[str, Any]) -> int | None:
    """Add one interaction inside the caller's transaction. Returns its revision, or None for a duplicate."""
    return next(iter(interactions.append(connection, [row]).values()), None)


def _purchase(customer_id: str, item_id: str, at: datetime, order_id: str) -> tuple[Any, ...]:
    return interaction(customer_id, item_id, "purchase", at, order_id=order_id, quantity=1, value_cents=500)


def _item(item_id: str, kind: str, now: datetime) -> dict[str, Any]:
    return {
        "item_id": item_id, "parent_id": None, "title": f"The {item_id}", "categories": ["drinks", kind], "brand": kind,
        "price_cents": 500, "currency": "EUR", "stock": None, "active": True, "sensitive": False,
        "created_at": _micro(now - timedelta(days=400)), "available_from": None, "available_to": None,
        "attributes": {},
    }  # fmt: skip


def _micro(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)
