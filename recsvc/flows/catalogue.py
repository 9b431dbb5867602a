"""The catalogue over the API: put, patch, look, list and take away items, customers and offers.

A write takes effect in this worker before it is acknowledged and in every other at its next look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from recsvc.errors import NotFound, Unavailable
from recsvc.flows.interactions import Receipt, Replay, once
from recsvc.flows.shop import Shop
from recsvc.intake import shorten
from recsvc.store import catalogue
from recsvc.store.customers import customers
from recsvc.store.database import MICROSECONDS, PAGE_SECONDS, reading
from recsvc.store.items import items
from recsvc.store.offers import offers

TABLES: dict[str, sa.Table] = {"items": items, "customers": customers, "offers": offers}
KEYS = {"items": "item_id", "customers": "customer_id", "offers": "offer_id"}
Fields = dict[str, Any]


def put(shop: Shop, noun: str, rows: list[Fields], refused: list[Fields], replay: Replay | None) -> Receipt:
    """Write rows whole, in one commit; a field that is left out takes its default. `duplicates` is always 0.

    An item without `created_at` keeps the one that is stored, and is created now only when there is no such item.

    Raises:
        Unavailable: nothing was kept. Conflict: the idempotency key was used with another body.
    """
    given, now = [stored(one) for one in rows], shop.clock()

    def write(connection: sa.Connection) -> Receipt:
        catalogue.put(connection, TABLES[noun], _dated(connection, given, now) if noun == "items" else given)
        return Receipt(len(given), 0, refused)

    receipt = once(shop, write, replay, Receipt)
    shop.current.refresh(shop.clock())
    return receipt


def patch(
    shop: Shop, noun: str, row_id: str, check: Callable[[Fields], Fields], replay: Replay | None = None
) -> Fields:
    """Change some fields of a row and return it. `check` gets the row as it was and returns the row as it shall be.

    Raises:
        NotFound: no such row. InvalidRequest: from `check`. Unavailable: nothing was kept.
        Conflict: the idempotency key was used with another body.
    """

    def write(connection: sa.Connection) -> Fields:
        before = catalogue.get(connection, TABLES[noun], row_id)
        if before is None:
            raise _missing(noun, row_id)
        catalogue.put(connection, TABLES[noun], [stored(check(shown(before)))])
        return catalogue.get(connection, TABLES[noun], row_id) or {}

    found = once(shop, write, replay, Fields)
    shop.current.refresh(shop.clock())
    return shown(found)


def get(shop: Shop, noun: str, row_id: str) -> Fields:
    """Return one row.

    Raises:
        NotFound: no such row. Unavailable: the database is away.
    """
    with looking(shop, None) as connection:
        found = catalogue.get(connection, TABLES[noun], row_id)
    if found is None:
        raise _missing(noun, row_id)
    return shown(found)


def page(shop: Shop, noun: str, cursor: str | None, limit: int) -> Fields:
    """Return rows in order of id, those after the id `cursor`, and the cursor of the next page, None at the end.

    Raises:
        Unavailable: the database is away.
    """
    with looking(shop, PAGE_SECONDS) as connection:
        rows = catalogue.page(connection, TABLES[noun], cursor, limit + 1)
    following = rows[limit - 1][KEYS[noun]] if len(rows) > limit else None
    return {noun: [shown(row) for row in rows[:limit]], "cursor": following}


def delete(shop: Shop, noun: str, row_id: str, replay: Replay | None = None) -> Receipt:
    """Take a row away; interactions that name it stay.

    Raises:
        NotFound: no such row. Unavailable: nothing was kept. Conflict: the idempotency key was used elsewhere.
    """

    def write(connection: sa.Connection) -> Receipt:
        if not catalogue.delete(connection, TABLES[noun], row_id):
            raise _missing(noun, row_id)
        return Receipt(accepted=1)

    receipt = once(shop, write, replay, Receipt)
    shop.current.refresh(shop.clock())
    return receipt


@contextmanager
def looking(shop: Shop, seconds: float | None) -> Iterator[sa.Connection]:
    """Yield a connection for a look. seconds: as in `reading`.

    Raises:
        Unavailable: the database is away.
    """
    if shop.current.snapshot.state.copied:
        raise Unavailable("the database has not answered since this worker started; try again")
    try:
        with reading(shop.engine, seconds) as connection:
            yield connection
    except sa.exc.SQLAlchemyError as error:
        raise Unavailable("the database cannot be read now; try again") from error


def shown(row: Fields) -> Fields:
    """Return a row as the API shows it: times as RFC 3339."""
    return {
        name: _moment(value) if name.endswith(("_at", "_from", "_to")) and isinstance(value, int) else value
        for name, value in row.items()
    }


def stored(row: Fields) -> Fields:
    """Return a row as the store takes it: times as microseconds."""
    return {
        name: round(value.timestamp() * MICROSECONDS) if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def _dated(connection: sa.Connection, rows: list[Fields], now: float) -> list[Fields]:
    # A nightly write of the whole catalogue must not make all of it new.
    silent = [row["item_id"] for row in rows if row["created_at"] is None]
    query = sa.select(items.c.item_id, items.c.created_at).where(items.c.item_id.in_(silent))
    known = {item_id: created for item_id, created in connection.execute(query)} if silent else {}
    fresh = round(now * MICROSECONDS)
    return [
        {**row, "created_at": known.get(row["item_id"], fresh)} if row["created_at"] is None else row for row in rows
    ]


def _moment(micro: int) -> str:
    at = datetime.fromtimestamp(micro // MICROSECONDS, tz=UTC).replace(microsecond=micro % MICROSECONDS)
    return at.isoformat().replace("+00:00", "Z")


def _missing(noun: str, row_id: str) -> NotFound:
    name = KEYS[noun]
    return NotFound(f"{name}: {shorten(row_id)} does not exist", {name: "does not exist"})


def encode(value: Fields | Receipt) -> bytes:
    """Return the bytes of a reply."""
    return msgspec.json.encode(value)
