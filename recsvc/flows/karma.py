"""Karma: read what happened to a customer, and judge."""

from __future__ import annotations

import sqlalchemy as sa

from recsvc.engine.standing import Answer, Happened, Standing, customer
from recsvc.store import karma
from recsvc.store.database import MICROSECONDS, reading


def standing(source: sa.Engine | sa.Connection, customer_id: str, now: float) -> Standing:
    """Return a customer's karma at `now` (epoch seconds); of somebody unknown it is 0.

    Args:
        source: an engine, or a connection whose transaction it shall be read in.

    Raises:
        sa.exc.SQLAlchemyError: the database is away.
    """
    if isinstance(source, sa.Connection):
        return _standing(source, customer_id, now)
    with reading(source) as connection:
        return _standing(connection, customer_id, now)


def _standing(connection: sa.Connection, customer_id: str, now: float) -> Standing:
    happened = [Happened(kind, at / MICROSECONDS, ref) for kind, at, ref in karma.happened(connection, customer_id)]
    answers = [
        Answer(kind, score, at / MICROSECONDS, about)
        for kind, score, at, about in karma.answers(connection, customer_id)
    ]
    return customer(happened, answers, now)
