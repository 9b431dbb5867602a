"""Customers in the database."""

from __future__ import annotations

import sys
from typing import Any

import sqlalchemy as sa

from recsvc.store import catalogue
from recsvc.store.database import PAGE_SECONDS, Json, importing, metadata, reading
from recsvc.store.facts import advance

customers = sa.Table(
    "customers", metadata,
    sa.Column("customer_id", sa.Text, primary_key=True), sa.Column("segment", sa.Text),
    sa.Column("attributes", Json), sa.Column("tier", sa.Text), sa.Column("locale", sa.Text),
    sa.Column("time_zone", sa.Text), sa.Column("consent", Json),
    sa.Column("preferred_channel", sa.Text), sa.Column("quiet_hours", sa.Text),
    sa.Column("contact_cap", sa.BigInteger), sa.Column("profiling", sa.Boolean),
    sa.Column("preferences", Json), sa.Column("change", sa.BigInteger),
    sa.Column("deleted", sa.Boolean),
)  # fmt: skip


def put(engine: sa.Engine, rows: list[dict[str, Any]], fresh: dict[str, Any] | None = None) -> None:
    """Insert customers, or change what a row holds of those that exist; a new one takes the rest from `fresh`."""
    with importing(engine) as connection:
        catalogue.merge(connection, customers, rows, fresh or {})


def segment(engine: sa.Engine, customer_id: str) -> str | None:
    """Return the segment of a customer, or None when unknown."""
    with reading(engine) as connection:
        return connection.scalar(sa.select(customers.c.segment).where(customers.c.customer_id == customer_id))


def declared(engine: sa.Engine, customer_id: str) -> tuple[str | None, list[str]]:
    """Return the segment of a customer, None when unknown, and the preferences they named."""
    query = sa.select(customers.c.segment, customers.c.preferences).where(
        customers.c.customer_id == customer_id, sa.not_(customers.c.deleted)
    )
    with reading(engine) as connection:
        found = connection.execute(query).one_or_none()
    return (None, []) if found is None else (found.segment, list(found.preferences or []))


def withdraw(connection: sa.Connection, channels: dict[str, set[str]]) -> bool:
    """Take back consent inside the caller's transaction. Returns whether anything was changed.

    Args:
        channels: customer → the channels that are withdrawn.
    """
    t, changed = customers.c, []
    query = sa.select(customers).where(t.customer_id.in_(sorted(channels))).with_for_update()
    known = {row.customer_id: dict(row._mapping) for row in connection.execute(query)}
    for customer_id, withdrawn in channels.items():
        row = known.get(customer_id)
        before = (row or {}).get("consent") or {}
        after = before | dict.fromkeys(sorted(withdrawn), False)
        if row is not None and after != before:
            changed.append(row | {"consent": after})
    for row in changed:
        mine = sa.update(customers).where(t.customer_id == row["customer_id"])
        connection.execute(mine.values(consent=row["consent"], change=advance(connection, "catalogue")))
    return bool(changed)


def segments(engine: sa.Engine) -> dict[str, str]:
    """Return customer_id → segment for all who have one."""
    query = sa.select(customers.c.customer_id, customers.c.segment).where(
        customers.c.segment.is_not(None), sa.not_(customers.c.deleted)
    )
    with engine.connect() as connection:
        return {customer_id: segment for customer_id, segment in connection.execute(query)}


def search(engine: sa.Engine, text: str, limit: int) -> list[str]:
    """Return ids of customers that begin with `text`, in order, at most `limit`."""
    # Not LIKE: SQLite's does not tell upper case from lower.
    found = customers.c.customer_id
    query = sa.select(found).where(found >= text, found < text + chr(sys.maxunicode))
    with reading(engine, PAGE_SECONDS) as connection:
        return list(connection.scalars(query.order_by(found).limit(limit)))
