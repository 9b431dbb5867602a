"""Which anonymous session turned out to be which customer."""

from __future__ import annotations

import sqlalchemy as sa

from recsvc.errors import Conflict
from recsvc.intake import shorten
from recsvc.store.database import metadata

sessions = sa.Table(
    "sessions", metadata,
    sa.Column("session_id", sa.Text, primary_key=True), sa.Column("customer_id", sa.Text),
    sa.Column("revision", sa.BigInteger),
)  # fmt: skip


def assign(connection: sa.Connection, session_id: str, customer_id: str, revision: int) -> bool:
    """Say whose a session is. False when that was known. `revision`: the commit number of the news.

    Raises:
        Conflict: the session belongs to another customer.
    """
    owner = connection.scalar(sa.select(sessions.c.customer_id).where(sessions.c.session_id == session_id))
    if owner is not None and owner != customer_id:
        raise Conflict(f"from: {shorten(session_id)} was merged into another customer", {"from": "belongs to another"})
    if owner is not None:
        return False
    row = {"session_id": session_id, "customer_id": customer_id, "revision": revision}
    connection.execute(sa.insert(sessions), row)
    return True
