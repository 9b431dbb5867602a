"""Offers in the database."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from recsvc.store import catalogue
from recsvc.store.database import Json, importing, metadata

offers = sa.Table(
    "offers", metadata,
    sa.Column("offer_id", sa.Text, primary_key=True), sa.Column("name", sa.Text), sa.Column("kind", sa.Text),
    sa.Column("benefit", sa.Text), sa.Column("value_cents", sa.BigInteger), sa.Column("cost_cents", sa.BigInteger),
    sa.Column("currency", sa.Text), sa.Column("starts_at", sa.BigInteger), sa.Column("ends_at", sa.BigInteger),
    sa.Column("active", sa.Boolean), sa.Column("items", Json), sa.Column("attributes", Json),
    sa.Column("priority", sa.Integer), sa.Column("exclusive_group", sa.Text), sa.Column("stackable", sa.Boolean),
    sa.Column("categories", Json), sa.Column("channels", Json), sa.Column("budget", Json),
    sa.Column("max_per_customer", sa.Integer), sa.Column("cooldown_days", sa.Integer),
    sa.Column("max_shown", sa.Integer), sa.Column("capacity", sa.BigInteger), sa.Column("eligibility", Json),
    sa.Column("creative", Json), sa.Column("change", sa.BigInteger),
    sa.Column("deleted", sa.Boolean),
)  # fmt: skip

# What an offer has where nothing was said of it.
FRESH: Final[dict[str, Any]] = {
    "priority": 0, "stackable": True, "categories": [], "channels": [], "creative": {},
}  # fmt: skip


def put(engine: sa.Engine, rows: list[dict[str, Any]], fresh: dict[str, Any] | None = None) -> None:
    """Insert offers, or change what a row holds of those that exist; a new one takes the rest from `fresh`.

    Workers see the change at their next poll.
    """
    with importing(engine) as connection:
        catalogue.merge(connection, offers, rows, FRESH | (fresh or {}))


def load(connection: sa.Connection) -> list[Any]:
    """Return all offers in order of id."""
    return list(connection.execute(sa.select(offers).where(sa.not_(offers.c.deleted)).order_by(offers.c.offer_id)))


def newest(connection: sa.Connection) -> int:
    """Return the change number at which an offer was last written, −1 where none ever was."""
    found = connection.scalar(sa.select(sa.func.max(offers.c.change)))
    return -1 if found is None else int(found)
