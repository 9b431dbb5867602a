"""What a merchandiser decided, in the database: rules, and with them the settings of placements.

Both are few, stand under one change number, `rules`, and are read whole when it grows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from recsvc.store.database import LOAD_SECONDS, Json, metadata, reading, upsert
from recsvc.store.facts import advance
from recsvc.store.placements import placements

rules = sa.Table(
    "rules", metadata,
    sa.Column("rule_id", sa.Text, primary_key=True), sa.Column("placement", sa.Text), sa.Column("action", sa.Text),
    sa.Column("match", Json), sa.Column("factor", sa.Double), sa.Column("slot", sa.Integer),
    sa.Column("starts_at", sa.BigInteger), sa.Column("ends_at", sa.BigInteger), sa.Column("priority", sa.Integer),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rules:
    """All that was decided, as of one change number: the rows of the tables by id, in order of id."""

    change: int = -1
    rules: dict[str, Any] = field(default_factory=dict)
    placements: dict[str, Any] = field(default_factory=dict)


def load(engine: sa.Engine, change: int) -> Rules:
    """Return what was decided. `change` was read before, so what came between is loaded again."""
    with reading(engine, LOAD_SECONDS) as connection:
        found = [
            {row[0]: row for row in connection.execute(sa.select(table).order_by(table.primary_key.columns[0]))}
            for table in (rules, placements)
        ]
        return Rules(change, *found)


def put(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> None:
    """Write a row of one of the two tables whole, inside the caller's transaction."""
    advance(connection, "rules")
    upsert(connection, table, [row])


def delete(connection: sa.Connection, table: sa.Table, row_id: str) -> bool:
    """Take a row of one of the two tables away. False when there was none."""
    found = connection.execute(sa.delete(table).where(table.primary_key.columns[0] == row_id)).rowcount
    if found:
        advance(connection, "rules")
    return bool(found)


def get(connection: sa.Connection, table: sa.Table, row_id: str) -> dict[str, Any] | None:
    """Return one row of one of the two tables, or None."""
    query = sa.select(table).where(table.primary_key.columns[0] == row_id)
    found = connection.execute(query).one_or_none()
    return None if found is None else dict(found._mapping)


def count(connection: sa.Connection, table: sa.Table) -> int:
    """Return how many rows one of the two tables has."""
    return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def rows(connection: sa.Connection, table: sa.Table) -> dict[str, dict[str, Any]]:
    """Return all rows of one of the two tables by id, in order of id."""
    found = connection.execute(sa.select(table).order_by(table.primary_key.columns[0]))
    return {row[0]: dict(row._mapping) for row in found}


def names(connection: sa.Connection, table: sa.Table, where: Any = None) -> list[str]:
    """Return the ids of the rows of one of the two tables that meet a condition, in order."""
    key = table.primary_key.columns[0]
    return list(connection.scalars(sa.select(key).where(*([] if where is None else [where])).order_by(key)))
