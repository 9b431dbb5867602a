"""What the database says of itself: its schema, its soundness, and counts that show what a shop's data lack.

For an operator who looks, not for requests: some of these read every row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import alembic.config
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from recsvc.store.customers import customers
from recsvc.store.interactions import interactions
from recsvc.store.items import items


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is, and of it: items without category or price, active items, active items never bought,
    customers without history, interactions naming an item the catalogue lacks. newest: microseconds, None without
    interactions."""

    items: int
    no_category: int
    no_price: int
    active: int
    never_bought: int
    customers: int
    no_history: int
    interactions: int
    unknown_items: int
    newest: int | None


def file_of(url: str) -> Path | None:
    """Return the file of a SQLite URL, None for another database."""
    parsed = sa.make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def schema(engine: sa.Engine) -> tuple[str | None, str | None]:
    """Return the schema's version and the newest this program has."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    return found, ScriptDirectory.from_config(config).get_current_head()


def damage(engine: sa.Engine) -> list[str]:
    """Return what SQLite finds damaged in its file, at most ten lines; nothing for another database."""
    if engine.dialect.name != "sqlite":
        return []
    with engine.connect() as connection:
        lines = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check(10)")]
    return [] if lines == ["ok"] else lines


def counts(engine: sa.Engine) -> Counts:
    """Return the counts."""
    i, t, c = items.c, interactions.c, customers.c
    bought = sa.select(t.item_id).where(t.kind == "purchase", t.item_id.is_not(None))
    of_items = sa.select(
        sa.func.count(), _of(sa.func.length(sa.cast(i.categories, sa.Text)) <= len("[]")),
        _of(i.price_cents.is_(None)), _of(i.active), _of(sa.and_(i.active, i.item_id.not_in(bought))),
    ).select_from(items).where(sa.not_(i.deleted))  # fmt: skip
    history = sa.select(t.revision).where(t.customer_id == c.customer_id).exists()
    of_customers = sa.select(sa.func.count(), _of(~history)).select_from(customers)
    unknown = sa.and_(t.item_id.is_not(None), t.item_id.not_in(sa.select(i.item_id)))
    of_interactions = sa.select(sa.func.count(), _of(unknown), sa.func.max(t.occurred_at)).select_from(interactions)
    with engine.connect() as connection:
        rows = [connection.execute(query).one() for query in (of_items, of_customers, of_interactions)]
    first, second, third = rows
    return Counts(*first, *second, *third)


def _of(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)
