"""Karma of customers: what stands between them and the shop now, with its parts."""

from __future__ import annotations

import sqlalchemy as sa

from recsvc.engine import standing as engine
from recsvc.engine.standing import Standing, Told
from recsvc.store import karma
from recsvc.store.database import MICROSECONDS


def standing(connection: sa.Connection, customer_id: str, now: float) -> Standing:
    """Return a customer's karma at `now` (epoch seconds).

    Raises:
        sa.exc.SQLAlchemyError: the database is away.
    """
    told = [
        Told(kind, at / MICROSECONDS, (details or {}).get("ref"))
        for kind, at, details in karma.told(connection, customer_id)
    ]
    told += [Told(kind, at / MICROSECONDS, None, score) for kind, at, score in karma.surveyed(connection, customer_id)]
    return engine.customer(told, now)
