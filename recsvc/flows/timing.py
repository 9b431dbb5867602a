"""Timing: when a customer orders next, whether they still do, and through which channels they are reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from recsvc.engine import timing
from recsvc.flows import customers, replies
from recsvc.flows.shop import Shop
from recsvc.intake import digest
from recsvc.store import interactions
from recsvc.store.database import MICROSECONDS, reading

# Says against a channel, or nothing of it: what the customer did not do.
_NOT_THEIRS = ("impression", "offer_shown", "unsubscribe", "delivery_late")


@dataclass(frozen=True, slots=True)
class Timely:
    """What is said of a customer, as the reply has it, and what was away when it was made."""

    reply: dict[str, Any]
    degraded: tuple[str, ...]


def of_customer(shop: Shop, customer_id: str) -> Timely:
    """Return a customer's timing; nulls for who has no order or wants no profile. Never fails."""
    snapshot, now = shop.current.snapshot, shop.clock()
    away = bool(snapshot.state.copied)
    reply: dict[str, Any] = {
        "customer_id": customer_id, "expected_date_of_next_order": None, "average_days_between_orders": None,
        "churn_probability": None, "ranked_channel_affinity": [], "orders": 0, "last_order_at": None,
        "generated_at": replies.moment(now), "model_version": snapshot.model.version if snapshot.model else None,
    }  # fmt: skip
    if digest(customer_id) in snapshot.catalogue.unprofiled:
        return Timely(reply, snapshot.lacks)
    if snapshot.model is not None:
        known = customers.look_up(shop.engine, snapshot, customer_id, now)
        away |= known.away
        reply |= _orders(snapshot.model.timing, timing.visits_of(known.history), now)
    if not away:
        try:
            reply["ranked_channel_affinity"] = _channels(shop, customer_id, now)
        except sa.exc.SQLAlchemyError:
            away = True
    model = () if snapshot.model is not None else ("model",)
    return Timely(reply, (("database",) if away else ()) + model)


def _orders(known: timing.Timing, visits: timing.Visits, now: float) -> dict[str, Any]:
    count = int(visits.orders[0])
    if not count:
        return {}
    mean = float(timing.mean_interval(visits)[0])
    return {
        "expected_date_of_next_order": replies.moment(_within_years(float(timing.next_order(known, visits, now)[0]))),
        "average_days_between_orders": None if np.isnan(mean) else round(mean, 2),
        "churn_probability": round(1.0 - float(timing.alive(known, visits, now)[0]), 4),
        "orders": count, "last_order_at": replies.moment(float(visits.last_at[0])),
    }  # fmt: skip


def _within_years(at: float) -> float:
    """Return a moment that a calendar has: what is expected in a thousand years is not expected."""
    return min(at, 32503680000.0)


def _channels(shop: Shop, customer_id: str, now: float) -> list[str]:
    with reading(shop.engine) as connection:
        found = interactions.channels(connection, customer_id, _NOT_THEIRS)
    names = sorted({name for name, _ in found})
    codes = np.array([names.index(name) for name, _ in found], np.int64)
    at = np.array([micro / MICROSECONDS for _, micro in found], np.float64)
    return [names[code] for code in timing.ranked(codes, at, now).tolist()]
