"""What a customer's karma is made of, in the database: complaints, resolutions, late deliveries and surveys."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from recsvc.store.interactions import interactions
from recsvc.store.surveys import surveys

KINDS = ("complaint", "complaint_resolved", "support_resolved", "delivery_late")


def told(connection: sa.Connection, customer_id: str) -> list[tuple[str, int, Any]]:
    """Return (kind, microseconds, details) of a customer's complaints, resolutions and late deliveries."""
    t = interactions.c
    query = sa.select(t.kind, t.occurred_at, t.details).where(
        t.customer_id == customer_id,
        # As the index `interactions_told` says it, so that it is used: a customer has thousands of other interactions.
        sa.text(
            "(offer_id IS NOT NULL OR kind IN ('complaint', 'complaint_resolved', 'support_resolved', 'delivery_late'))"
        ),
        t.kind.in_(KINDS),
    )
    return [(kind, at, details) for kind, at, details in connection.execute(query)]


def surveyed(connection: sa.Connection, customer_id: str) -> list[tuple[str, int, int]]:
    """Return (kind, microseconds, score) of a customer's answers to surveys."""
    t = surveys.c
    query = sa.select(t.kind, t.occurred_at, t.score).where(t.customer_id == customer_id)
    return [(kind, at, score) for kind, at, score in connection.execute(query)]
