"""Surveys in the database: NPS, CSAT and CES, each answer once."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from recsvc.store.database import insert, metadata

surveys = sa.Table(
    "surveys", metadata,
    sa.Column("digest", sa.LargeBinary(16), primary_key=True), sa.Column("customer_id", sa.Text),
    sa.Column("kind", sa.Text), sa.Column("score", sa.Integer), sa.Column("occurred_at", sa.BigInteger),
    sa.Column("channel", sa.Text), sa.Column("comment", sa.Text), sa.Column("about", sa.Text),
)  # fmt: skip


def append(connection: sa.Connection, rows: list[dict[str, Any]]) -> int:
    """Add answers inside the caller's transaction. Returns how many were new."""
    if not rows:
        return 0
    statement = (
        insert(connection, surveys).on_conflict_do_nothing(index_elements=["digest"]).returning(surveys.c.digest)
    )
    return len(connection.execute(statement, rows).all())
