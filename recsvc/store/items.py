"""Items in the database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from recsvc.store import catalogue
from recsvc.store.database import Json, importing, metadata

items = sa.Table(
    "items", metadata,
    sa.Column("item_id", sa.Text, primary_key=True), sa.Column("parent_id", sa.Text), sa.Column("title", sa.Text),
    sa.Column("categories", Json), sa.Column("brand", sa.Text), sa.Column("price_cents", sa.BigInteger),
    sa.Column("currency", sa.Text), sa.Column("stock", sa.BigInteger), sa.Column("active", sa.Boolean),
    sa.Column("sensitive", sa.Boolean), sa.Column("created_at", sa.BigInteger),
    sa.Column("available_from", sa.BigInteger), sa.Column("available_to", sa.BigInteger),
    sa.Column("attributes", Json), sa.Column("cost_cents", sa.BigInteger), sa.Column("repeatable", sa.Boolean),
    sa.Column("image_url", sa.Text), sa.Column("url", sa.Text), sa.Column("change", sa.BigInteger),
    sa.Column("deleted", sa.Boolean),
)  # fmt: skip


def put(engine: sa.Engine, rows: list[dict[str, Any]], fresh: dict[str, Any] | None = None) -> None:
    """Insert items, or change what a row holds of those that exist; a new one takes the rest from `fresh`.

    Workers see the change at their next poll.
    """
    with importing(engine) as connection:
        catalogue.merge(connection, items, rows, fresh or {})
