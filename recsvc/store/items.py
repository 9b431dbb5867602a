"""Items in the database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from recsvc.store.database import Json, metadata, upsert, writing
from recsvc.store.facts import advance

items = sa.Table(
    "items", metadata,
    sa.Column("item_id", sa.Text, primary_key=True), sa.Column("parent_id", sa.Text), sa.Column("title", sa.Text),
    sa.Column("categories", Json), sa.Column("brand", sa.Text), sa.Column("price_cents", sa.BigInteger),
    sa.Column("currency", sa.Text), sa.Column("stock", sa.BigInteger), sa.Column("active", sa.Boolean),
    sa.Column("sensitive", sa.Boolean), sa.Column("created_at", sa.BigInteger),
    sa.Column("available_from", sa.BigInteger), sa.Column("available_to", sa.BigInteger),
    sa.Column("attributes", Json),
)  # fmt: skip


def put(engine: sa.Engine, rows: list[dict[str, Any]]) -> None:
    """Insert or replace items. Workers see the change at their next poll."""
    with writing(engine) as connection:
        upsert(connection, items, rows)
        advance(connection, "catalogue")
