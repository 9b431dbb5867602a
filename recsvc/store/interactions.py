"""Interactions in the database: append-only, each with one effect, numbered by commit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from recsvc.store.database import LOAD_SECONDS, PAGE_SECONDS, Json, importing, insert, metadata, reading
from recsvc.store.postgres import in_commit_order
from recsvc.store.sessions import sessions

interactions = sa.Table(
    "interactions", metadata,
    sa.Column("revision", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("digest", sa.LargeBinary(16)), sa.Column("customer_id", sa.Text), sa.Column("session_id", sa.Text),
    sa.Column("item_id", sa.Text),
    sa.Column("kind", sa.Text), sa.Column("occurred_at", sa.BigInteger), sa.Column("quantity", sa.BigInteger),
    sa.Column("value_cents", sa.BigInteger), sa.Column("currency", sa.Text),
    sa.Column("order_id", sa.Text), sa.Column("channel", sa.Text),
    sa.Column("stars", sa.Integer), sa.Column("reason", sa.Text), sa.Column("offer_id", sa.Text),
    sa.Column("details", Json),
)  # fmt: skip

COLUMNS = tuple(column.name for column in interactions.columns if column.name != "revision")
_NAMES = ", ".join(COLUMNS)
_COPY_TYPES = {sa.LargeBinary: "bytea", sa.Text: "text", Json: "text", sa.BigInteger: "int8", sa.Integer: "int4"}
# Rows of one commit of an import into Postgres: nobody else can append meanwhile.
_COPIED = 50_000
_READ = ("item_id", "kind", "occurred_at", "stars", "reason", "order_id", "quantity")
# More than this since the last training run would make one customer's list slow; the newest say most.
RECENT = 500
_WALKED = 5000


@dataclass(frozen=True, slots=True)
class Recent:
    """A customer's newest interactions with items, newest first, and the revision they stand at (0: none)."""

    revision: int
    rows: list[Any]


def append(connection: sa.Connection, rows: list[dict[str, Any]]) -> dict[bytes, int]:
    """Add interactions inside the caller's write transaction. Returns digest → revision of those that were new."""
    if not rows:
        return {}
    if connection.dialect.name == "postgresql":
        return _append_one_by_one(connection, rows)
    # Nobody else writes meanwhile, so what stands beyond `before` is ours. Asking each row for its number by RETURNING
    # took three times as long for a batch of 500.
    t = interactions.c
    before = connection.scalar(sa.select(sa.func.max(t.revision))) or 0
    _insert(connection, [(*tuple(row[name] for name in COLUMNS[:-1]), _json(row["details"])) for row in rows])
    found = connection.execute(sa.select(t.digest, t.revision).where(t.revision > before))
    return {digest: revision for digest, revision in found}


def _append_one_by_one(connection: sa.Connection, rows: list[dict[str, Any]]) -> dict[bytes, int]:
    in_commit_order(connection)
    t = interactions.c
    statement = insert(connection, interactions).on_conflict_do_nothing(index_elements=["digest"])
    added = connection.execute(statement.returning(t.digest, t.revision), rows)
    return {bytes(digest): revision for digest, revision in added}


def append_many(engine: sa.Engine, rows: list[tuple[Any, ...]]) -> int:
    """Add a chunk of interactions, values in the order of `COLUMNS`, details as JSON text. Returns how many were new.

    Sorted by digest first: the unique index is then walked in order, which keeps its pages in memory.
    """
    rows = sorted(rows, key=itemgetter(0))
    if engine.dialect.name == "sqlite":
        with importing(engine) as connection:
            before = _total_changes(connection)
            _insert(connection, rows)
            return _total_changes(connection) - before
    added = 0
    for start in range(0, len(rows), _COPIED):
        with importing(engine) as connection:
            added += _copy_many(connection, rows[start : start + _COPIED])
    return added


def _copy_many(connection: sa.Connection, rows: list[tuple[Any, ...]]) -> int:
    """COPY beside the table, then insert what is new: only that holds others up who append."""
    connection.exec_driver_sql(
        f"CREATE TEMP TABLE incoming ON COMMIT DROP AS SELECT {_NAMES} FROM interactions WITH NO DATA"  # noqa: S608
    )
    cursor = connection.connection.cursor()
    with cursor.copy(f"COPY incoming ({_NAMES}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types([_COPY_TYPES[type(interactions.c[name].type)] for name in COLUMNS])
        for row in rows:
            copy.write_row(row)
    in_commit_order(connection)
    added = connection.exec_driver_sql(
        f"INSERT INTO interactions ({_NAMES}) SELECT {_NAMES} FROM incoming ORDER BY digest ON CONFLICT DO NOTHING"  # noqa: S608
    )
    return added.rowcount


def _insert(connection: sa.Connection, rows: list[tuple[Any, ...]]) -> None:
    if not rows:
        return
    names, marks = ", ".join(COLUMNS), ", ".join("?" * len(COLUMNS))
    connection.exec_driver_sql(
        f"INSERT INTO interactions ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING",  # noqa: S608 names from our own table
        rows,
    )


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def since(engine: sa.Engine, customer_id: str, revision: int) -> Recent:
    """Return a customer's interactions committed after `revision`, those of their merged sessions included.

    What a session did counts as new until a model has seen both it and the merge.
    """
    given = {"customer": customer_id, "after": revision}
    with reading(engine) as connection:
        rows = list(connection.execute(_SINCE, given))
        if len(rows) == RECENT:  # what was turned down counts however much came after it
            rows += connection.execute(_TURNED_DOWN, {**given, "before": rows[-1].revision})
    return Recent(rows[0].revision if rows else 0, [row for row in rows if row.item_id is not None])


def _since() -> tuple[sa.Select[Any], sa.Select[Any]]:
    """Return the two queries of `since`. Putting them together took five times as long as asking them: made once."""
    t, s = interactions.c, sessions.c
    customer, after = sa.bindparam("customer", type_=sa.Text), sa.bindparam("after", type_=sa.BigInteger)
    columns = (t.revision, *(t[name] for name in _READ))
    own = sa.select(*columns).where(t.customer_id == customer, t.revision > after)
    merged = (
        sa.select(*columns)
        .join(sessions, s.session_id == t.session_id)
        .where(s.customer_id == customer, t.customer_id.is_(None), sa.or_(t.revision > after, s.revision > after))
    )
    both = sa.union_all(own, merged).subquery()
    newest = sa.select(both).order_by(both.c.revision.desc()).limit(RECENT)
    before = sa.bindparam("before", type_=sa.BigInteger)
    return newest, newest.where(both.c.kind.in_(("dislike", "return")), both.c.revision < before)


_SINCE, _TURNED_DOWN = _since()


def channels(connection: sa.Connection, customer_id: str, without: tuple[str, ...]) -> list[tuple[str, int]]:
    """Return (channel, microseconds) of a customer's newest interactions that name a channel and are of none of some
    kinds, at most 500, those of their merged sessions included."""
    t, s = interactions.c, sessions.c
    told = sa.and_(t.channel.is_not(None), t.kind.not_in(without))
    columns = (t.revision, t.channel, t.occurred_at)
    own = sa.select(*columns).where(t.customer_id == customer_id, told)
    merged = (
        sa.select(*columns)
        .join(sessions, s.session_id == t.session_id)
        .where(s.customer_id == customer_id, t.customer_id.is_(None), told)
    )
    both = sa.union_all(own, merged).subquery()
    query = sa.select(both.c.channel, both.c.occurred_at).order_by(both.c.revision.desc()).limit(RECENT)
    return [(channel, at) for channel, at in connection.execute(query)]


def history(engine: sa.Engine, customer_id: str, limit: int) -> list[Any]:
    """Return a customer's latest interactions with items by time, newest first, for showing."""
    t = interactions.c
    query = (
        sa.select(t.item_id, t.kind, t.occurred_at, t.order_id, t.quantity, t.value_cents)
        .where(t.customer_id == customer_id, t.item_id.is_not(None))
        .order_by(t.occurred_at.desc(), t.revision.desc())
        .limit(limit)
    )
    with reading(engine, PAGE_SECONDS) as connection:
        return list(connection.execute(query))


def against(engine: sa.Engine, customer_id: str, item_id: str, kinds: tuple[str, ...]) -> list[Any]:
    """Return what a customer did of some kinds with an item, newest first, at most 10: kind, reason, stars,
    occurred_at. Their merged sessions are not looked at."""
    t = interactions.c
    query = (
        sa.select(t.kind, t.reason, t.stars, t.occurred_at)
        .where(t.customer_id == customer_id, t.item_id == item_id, t.kind.in_(kinds))
        .order_by(t.occurred_at.desc(), t.revision.desc())
        .limit(10)
    )
    with reading(engine, PAGE_SECONDS) as connection:
        return list(connection.execute(query))


def offers_shown(connection: sa.Connection, customer_id: str) -> dict[str, tuple[int, int]]:
    """Return offer → how often it was shown to a customer, and when last (microseconds)."""
    t = interactions.c
    query = (
        sa.select(t.offer_id, sa.func.count(), sa.func.max(t.occurred_at))
        .where(t.customer_id == customer_id, t.offer_id.is_not(None), t.kind == "offer_shown")
        .group_by(t.offer_id)
    )
    return {offer_id: (times, at) for offer_id, times, at in connection.execute(query)}


def lately_active(engine: sa.Engine, limit: int) -> list[str]:
    """Return the customers who did something last, newest first, each once, at most `limit`."""
    t = interactions.c
    found: dict[str, None] = {}
    before: int | None = None
    with reading(engine, LOAD_SECONDS) as connection:
        while len(found) < limit:
            query = sa.select(t.revision, t.customer_id).order_by(t.revision.desc()).limit(_WALKED)
            rows = connection.execute(query if before is None else query.where(t.revision < before)).all()
            if not rows:
                break
            before = rows[-1].revision
            found |= dict.fromkeys(row.customer_id for row in rows if row.customer_id is not None)
    return list(found)[:limit]


def bestsellers(engine: sa.Engine, after: int, limit: int) -> list[tuple[str, int]]:
    """Return (item_id, orders net of returns) since `after` (microseconds), most first: for a shop without a model."""
    t = interactions.c
    net = sa.func.sum(sa.case((t.kind == "purchase", 1), else_=-1)).label("net")
    query = (
        sa.select(t.item_id, net)
        .where(t.kind.in_(("purchase", "return", "refund")), t.occurred_at >= after, t.item_id.is_not(None))
        .group_by(t.item_id)
        .having(net > 0)
        .order_by(net.desc(), t.item_id)
        .limit(limit)
    )
    with reading(engine, PAGE_SECONDS) as connection:
        return [(item_id, int(count)) for item_id, count in connection.execute(query)]


def of_offers(engine: sa.Engine, up_to: int) -> list[Any]:
    """Return who was shown or redeemed which offer, and when, up to a revision."""
    t = interactions.c
    query = sa.select(t.customer_id, t.offer_id, t.kind, t.occurred_at).where(
        t.offer_id.is_not(None), t.kind.in_(("offer_shown", "offer_redeemed")), t.revision <= up_to
    )
    with engine.connect() as connection:
        return list(connection.execute(query))


def newest_revision(engine: sa.Engine) -> int:
    """Return the newest commit number, 0 when there is none."""
    with engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.max(interactions.c.revision))) or 0


def _total_changes(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("SELECT total_changes()").scalar_one())


def of_session(connection: sa.Connection, session_id: str) -> int:
    """Return how many interactions a session has."""
    query = sa.select(sa.func.count()).where(interactions.c.session_id == session_id)
    return int(connection.scalar(query) or 0)


def newest_in(connection: sa.Connection, customer_id: str, after: int) -> int:
    """Return the newest commit number of a customer beyond `after`, 0 when there is none."""
    t = interactions.c
    query = sa.select(sa.func.max(t.revision)).where(t.customer_id == customer_id, t.revision > after)
    return connection.scalar(query) or 0
