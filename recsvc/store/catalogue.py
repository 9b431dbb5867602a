"""What items, customers and offers have in common: rows by id, written whole, each write under a change number.

Workers load what has a higher change number than they know. A row that is taken away stays, marked, so that
they see that too; written again, it is back.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from recsvc.store.database import upsert
from recsvc.store.facts import advance


def put(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Insert or replace rows, inside the caller's transaction. A column that a row lacks becomes its null."""
    if not rows:
        return
    change = advance(connection, "catalogue")
    blank = {column.name: None for column in table.columns}
    # Of two rows with one id the last one counts; in one statement a row may be written once only.
    key = table.primary_key.columns[0].name
    last = {row[key]: {**blank, **row, "change": change, "deleted": False} for row in rows}
    upsert(connection, table, list(last.values()))


def merge(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]], fresh: dict[str, Any]) -> None:
    """Insert rows, or change of those that exist only what the row holds, inside the caller's transaction.

    Args:
        fresh: what a new row has where it says nothing; a column that is not here either becomes null.
    """
    if not rows:
        return
    change = advance(connection, "catalogue")
    blank = {column.name: None for column in table.columns} | fresh
    key = table.primary_key.columns[0].name
    last: dict[str, dict[str, Any]] = {}
    for row in rows:  # two rows with one id are two changes, the later one on top
        last[row[key]] = last.get(row[key], {}) | row
    alike: dict[frozenset[str], list[dict[str, Any]]] = {}
    for row in last.values():
        alike.setdefault(frozenset(row), []).append({**blank, **row, "change": change, "deleted": False})
    for names, same in alike.items():
        upsert(connection, table, same, names | {"change", "deleted"})


def get(connection: sa.Connection, table: sa.Table, row_id: str) -> dict[str, Any] | None:
    """Return one row, or None."""
    key = table.primary_key.columns[0]
    found = connection.execute(sa.select(*_shown(table)).where(key == row_id, sa.not_(table.c.deleted))).one_or_none()
    return None if found is None else dict(found._mapping)


def page(connection: sa.Connection, table: sa.Table, after: str | None, limit: int) -> list[dict[str, Any]]:
    """Return up to `limit` rows in order of id, beginning after the id `after`."""
    key = table.primary_key.columns[0]
    query = sa.select(*_shown(table)).where(sa.not_(table.c.deleted)).order_by(key).limit(limit)
    if after is not None:
        query = query.where(key > after)
    return [dict(row._mapping) for row in connection.execute(query)]


def delete(connection: sa.Connection, table: sa.Table, row_id: str) -> bool:
    """Take a row away. False when there was none."""
    key = table.primary_key.columns[0]
    there = connection.scalar(sa.select(sa.func.count()).where(key == row_id, sa.not_(table.c.deleted)))
    if not there:
        return False
    change = advance(connection, "catalogue")
    connection.execute(sa.update(table).where(key == row_id).values(deleted=True, change=change))
    return True


def _shown(table: sa.Table) -> list[sa.Column[Any]]:
    return [column for column in table.columns if column.name not in {"change", "deleted"}]
