"""What a merchandiser decides: rules, and the settings of placements. Put, look, list and take away.

A write takes effect in this worker before it is acknowledged and in every other at its next look.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from recsvc.concepts import PLACEMENTS
from recsvc.engine import filters
from recsvc.engine.filters import FIELDS, OPERATORS
from recsvc.errors import Conflict, NotFound
from recsvc.flows.catalogue import Fields, looking, shown, stored
from recsvc.flows.interactions import Receipt, Replay, once
from recsvc.flows.placements import unknown
from recsvc.flows.shop import Shop
from recsvc.intake import shorten
from recsvc.store import rules as rules_store
from recsvc.store.placements import placements
from recsvc.store.rules import rules

__all__ = ["FIELDS", "OPERATORS"]  # the grammar, for the document
TABLES: Final[dict[str, sa.Table]] = {"rules": rules, "placements": placements}
KEYS: Final = {"rules": "rule_id", "placements": "placement_id"}
# Every worker holds which items each rule is about, and looks at them anew when the catalogue changes.
MOST: Final = {"rules": 500, "placements": 100}
_BLANK: Final[Fields] = {
    "filters": {}, "diversity": None, "max_per": [], "min_relevance": None, "fields": [], "cache_seconds": None,
    "shared": False,
}  # fmt: skip


def put(shop: Shop, noun: str, row: Fields, replay: Replay | None) -> Fields:
    """Write a rule or the settings of a placement whole, and return it.

    Raises:
        InvalidRequest: a rule for a placement that does not exist. Conflict: there are too many, or the idempotency
            key was used with another body. Unavailable: nothing was kept.
    """
    table, row_id = TABLES[noun], row[KEYS[noun]]

    def write(connection: sa.Connection) -> Fields:
        if rules_store.get(connection, table, row_id) is None and rules_store.count(connection, table) >= MOST[noun]:
            raise Conflict(f"{noun}: there are {MOST[noun]} already, delete some first")
        named = row.get("placement")
        if named is not None and named not in PLACEMENTS and rules_store.get(connection, placements, named) is None:
            raise unknown(named, rules_store.names(connection, placements))
        rules_store.put(connection, table, stored(row))
        return rules_store.get(connection, table, row_id) or {}

    found = once(shop, write, replay, Fields)
    shop.current.refresh(shop.clock())
    return shown(found)


def get(shop: Shop, noun: str, row_id: str) -> Fields:
    """Return a rule, or the settings of a placement; those of a built-in one are empty until somebody writes them.

    Raises:
        NotFound: there is none of that id. Unavailable: the database is away.
    """
    with looking(shop, None) as connection:
        found = rules_store.get(connection, TABLES[noun], row_id)
    if found is None and not _built_in(noun, row_id):
        raise _missing(noun, row_id)
    return shown(found or {"placement_id": row_id, **_BLANK})


def page(shop: Shop, noun: str) -> Fields:
    """Return all rules, or the settings of all placements, in order of id.

    Raises:
        Unavailable: the database is away.
    """
    with looking(shop, None) as connection:
        found = rules_store.rows(connection, TABLES[noun])
    if noun == "placements":
        found |= {name: {"placement_id": name, **_BLANK} for name in PLACEMENTS if name not in found}
    return {noun: [shown(found[name]) for name in sorted(found)]}


def delete(shop: Shop, noun: str, row_id: str, replay: Replay | None) -> Receipt:
    """Take a rule or a placement away; a built-in placement loses its settings, and is accepted 0 times without any.

    Raises:
        NotFound: there is none of that id. Conflict: rules name the placement, or the idempotency key was used with
            another body. Unavailable: nothing was kept.
    """

    def write(connection: sa.Connection) -> Receipt:
        if noun == "placements" and not _built_in(noun, row_id):
            using = rules_store.names(connection, rules, rules.c.placement == row_id)
            if using:
                raise Conflict(f"placement_id: rules name it, delete them first: {', '.join(map(shorten, using[:10]))}")
        gone = rules_store.delete(connection, TABLES[noun], row_id)
        if not gone and not _built_in(noun, row_id):
            raise _missing(noun, row_id)
        return Receipt(accepted=int(gone))

    receipt = once(shop, write, replay, Receipt)
    shop.current.refresh(shop.clock())
    return receipt


def checked_filter(value: object, path: str) -> Any:
    """Return `value`, when it is a filter.

    Raises:
        InvalidRequest: names the place in it.
    """
    filters.parse(value, path)
    return value


def _built_in(noun: str, row_id: str) -> bool:
    return noun == "placements" and row_id in PLACEMENTS


def _missing(noun: str, row_id: str) -> NotFound:
    name = KEYS[noun]
    return NotFound(f"{name}: {shorten(row_id)} does not exist", {name: "does not exist"})
