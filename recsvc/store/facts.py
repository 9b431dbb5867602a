"""The shop's own facts, one row each: its identity, its secret, and the change numbers that workers poll.

database_id      a random name; an artifact made from another database is recognised by it
customer_secret  the key under which artifacts and the cache hash customer ids
catalogue        grows when items, customers or offers change
keys             grows when API keys change
rules            grows when rules or the settings of placements change
cache_epoch      grows when a write could not reach Redis; nothing cached under an older epoch is trusted
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from recsvc.store.database import insert, metadata, reading, writing

facts = sa.Table("facts", metadata, sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text))


@dataclass(frozen=True, slots=True)
class Facts:
    """What the table holds."""

    database_id: str
    customer_secret: bytes
    catalogue: int
    keys: int
    cache_epoch: int
    rules: int


def ensure(engine: sa.Engine) -> Facts:
    """Return the facts; those that are missing are made."""
    first = {
        "database_id": secrets.token_hex(8), "customer_secret": secrets.token_hex(32),
        "catalogue": "0", "keys": "0", "rules": "0", "cache_epoch": secrets.token_hex(4) + "0000",
    }  # fmt: skip
    first["cache_epoch"] = str(int(first["cache_epoch"], 16))
    with writing(engine) as connection:
        rows = [{"name": name, "value": value} for name, value in first.items()]
        connection.execute(insert(connection, facts).on_conflict_do_nothing(), rows)
    return read(engine)


def begun(engine: sa.Engine) -> None:
    """Look whether the database is a shop's. Reads only.

    Raises:
        sa.exc.SQLAlchemyError: it is away, or has no tables.
        KeyError: its tables are empty.
    """
    with reading(engine) as connection:
        if connection.scalar(sa.select(facts.c.value).where(facts.c.name == "database_id")) is None:
            raise KeyError("database_id")


def hold_to(engine: sa.Engine, known: Callable[[], str]) -> None:
    """Have the engine refuse each new connection to a database that is not the one `known` names; "" is any.

    A file that was moved away, or a database that was dropped, may have an empty one in its place: what was sent
    there would be lost when the shop's own comes back. Refused, it is away as any other.
    """
    away = engine.dialect.loaded_dbapi.OperationalError

    def check(connection: Any, _record: Any) -> None:
        wanted = known()
        if wanted and _identity(connection, engine) != wanted:
            connection.close()
            raise away("another database stands where the shop's was")

    event.listen(engine, "connect", check)


def _identity(connection: Any, engine: sa.Engine) -> str | None:
    """Return the database_id, asked of the driver's own connection; None where there is none."""
    cursor = connection.cursor()
    try:
        cursor.execute("SELECT value FROM facts WHERE name = 'database_id'")
        row = cursor.fetchone()
    except engine.dialect.loaded_dbapi.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise
    except engine.dialect.loaded_dbapi.Error:  # no such table on Postgres, no database at all on SQLite
        return None
    finally:
        cursor.close()
        connection.rollback()
    return str(row[0]) if row else None


def read(engine: sa.Engine, seconds: float | None = None) -> Facts:
    """Return the facts as they are now. `seconds` as in `reading`."""
    with reading(engine, seconds) as connection:
        found: dict[str, str] = {name: value for name, value in connection.execute(sa.select(facts))}
    return Facts(
        found["database_id"], bytes.fromhex(found["customer_secret"]),
        int(found["catalogue"]), int(found["keys"]), int(found["cache_epoch"]),
        int(found["rules"]),
    )  # fmt: skip


def advance(connection: sa.Connection, name: str) -> int:
    """Add one to a change number and return it, inside the transaction of the change itself."""
    value = sa.cast(sa.cast(facts.c.value, sa.BigInteger) + 1, sa.Text)
    changed = sa.update(facts).where(facts.c.name == name).values(value=value).returning(facts.c.value)
    return int(connection.execute(changed).scalar_one())
