"""Sales in the database: what was bought and came back since a model was made."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from recsvc.store.customers import customers
from recsvc.store.database import PAGE_SECONDS, reading
from recsvc.store.interactions import interactions

_MOST: Final = 200_000
_DAY: Final = 86_400_000_000


def since(engine: sa.Engine, revision: int) -> tuple[int, list[tuple[str, int, int]]]:
    """Return the newest revision and (item_id, day since 1970, orders net of returns) of what came after `revision`,
    of the newest 200,000 interactions at most.

    One customer's orders of an item count once a day, and so do their returns; where nobody is named, each order does.
    Customers who want no profile do not count.
    """
    t, c = interactions.c, customers.c
    newest = sa.select(interactions).where(t.revision > revision).order_by(t.revision.desc()).limit(_MOST).subquery()
    n = newest.c
    unprofiled = sa.select(c.customer_id).where(c.profiling.is_(False))
    columns: list[sa.ColumnElement[Any]] = [
        n.item_id, (n.occurred_at // _DAY).label("day"), sa.case((n.kind == "purchase", 1), else_=-1).label("sign"),
        sa.func.coalesce(n.customer_id, n.order_id, sa.cast(n.revision, sa.Text)).label("who"),
    ]  # fmt: skip
    counted = n.kind.in_(("purchase", "return", "refund", "cancel")) & n.item_id.is_not(None)
    profiled = sa.or_(n.customer_id.is_(None), n.customer_id.not_in(unprofiled))
    once = sa.select(*columns).where(counted, profiled).distinct().subquery().c
    net = sa.select(once.item_id, once.day, sa.func.sum(once.sign)).group_by(once.item_id, once.day)
    with reading(engine, PAGE_SECONDS) as connection:
        newest_revision = connection.scalar(sa.select(sa.func.max(t.revision))) or 0
        return newest_revision, [(item_id, int(day), int(count)) for item_id, day, count in connection.execute(net)]
