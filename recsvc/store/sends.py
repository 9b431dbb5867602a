"""Sends: what was decided for a customer in one sending, kept so that it is decided and counted once."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from recsvc.store.database import Json, insert, metadata

sends = sa.Table(
    "sends", metadata,
    sa.Column("customer_id", sa.Text, primary_key=True), sa.Column("send_id", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True), sa.Column("decided", Json),
    sa.Column("decided_at", sa.BigInteger), sa.Column("contacted_at", sa.BigInteger),
)  # fmt: skip


def find(connection: sa.Connection, customer_id: str, send_id: str, channel: str | None) -> dict[str, Any] | None:
    """Return what was decided first for a channel, None for any; None where nothing was yet."""
    t = sends.c
    query = sa.select(t.decided).where(t.customer_id == customer_id, t.send_id == send_id)
    if channel is not None:
        query = query.where(t.channel == channel)
    found: dict[str, Any] | None = connection.scalar(query.order_by(t.decided_at).limit(1))
    return found


def keep(connection: sa.Connection, row: dict[str, Any]) -> bool:
    """Keep a decision inside the caller's transaction. False where another was kept before."""
    kept = insert(connection, sends).on_conflict_do_nothing().returning(sends.c.send_id)
    return connection.execute(kept, row).first() is not None


def contacts(connection: sa.Connection, customer_id: str, after: int) -> int:
    """Return how often a customer was contacted after a moment (microseconds)."""
    t = sends.c
    query = sa.select(sa.func.count()).where(t.customer_id == customer_id, t.contacted_at > after)
    return connection.scalar(query) or 0
