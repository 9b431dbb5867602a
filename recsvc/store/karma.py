"""What a customer's karma is made of, in the database: complaints, late deliveries, resolutions and survey answers."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from recsvc.store.interactions import interactions
from recsvc.store.sessions import sessions
from recsvc.store.surveys import surveys

# More than these of one customer are not looked at; the newest say most.
_MOST: Final = 1000
# In the words of the index `interactions_told`: with bound values SQLite would not know that the index holds them all,
# and would read everything that the customer ever did.
TOLD: Final = sa.text("interactions.kind IN ('complaint', 'complaint_resolved', 'support_resolved', 'delivery_late')")


def _queries() -> tuple[sa.Select[Any], sa.Select[Any], sa.Select[Any]]:
    """Return what is asked: putting the queries together takes longer than asking them, so they are made once."""
    t, s, a = interactions.c, sessions.c, surveys.c
    who = sa.bindparam("customer", type_=sa.Text)
    columns = (t.kind, t.occurred_at, t.details)
    own = sa.select(*columns).where(t.customer_id == who, TOLD).order_by(t.occurred_at.desc()).limit(_MOST)
    merged = (
        sa.select(*columns)
        .join(sessions, s.session_id == t.session_id)
        .where(s.customer_id == who, t.customer_id.is_(None), TOLD)
        .limit(_MOST)
    )
    answers = (
        sa.select(a.kind, a.score, a.occurred_at, a.about)
        .where(a.customer_id == who)
        .order_by(a.occurred_at.desc())
        .limit(_MOST)
    )
    return own, merged, answers


_OWN, _MERGED, _ANSWERS = _queries()


def happened(connection: sa.Connection, customer_id: str) -> list[tuple[str, int, str | None]]:
    """Return (kind, microseconds, ref) of a customer's complaints, late deliveries and resolutions, those of their
    merged sessions included, in no order."""
    given = {"customer": customer_id}
    rows = [*connection.execute(_OWN, given), *connection.execute(_MERGED, given)]
    return [(kind, at, (details or {}).get("ref")) for kind, at, details in rows]


def answers(connection: sa.Connection, customer_id: str) -> list[tuple[str, int, int, str | None]]:
    """Return (survey, score, microseconds, what it was about) of a customer's answers, newest first."""
    found = connection.execute(_ANSWERS, {"customer": customer_id})
    return [(kind, score, at, about) for kind, score, at, about in found]
