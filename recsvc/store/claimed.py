"""Claims in the database: who holds which unit of which offer, and what every offer has given out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from recsvc.store.database import MICROSECONDS, metadata

RESERVED, REDEEMED, RELEASED, EXPIRED = STATES = ("reserved", "redeemed", "released", "expired")

claims = sa.Table(
    "claims", metadata,
    sa.Column("claim_id", sa.Text, primary_key=True), sa.Column("offer_id", sa.Text), sa.Column("customer_id", sa.Text),
    sa.Column("state", sa.Text), sa.Column("channel", sa.Text), sa.Column("send_id", sa.Text),
    sa.Column("created_at", sa.BigInteger), sa.Column("expires_at", sa.BigInteger),
    sa.Column("ended_at", sa.BigInteger), sa.Column("order_id", sa.Text), sa.Column("value_cents", sa.BigInteger),
    sa.Column("cost_cents", sa.BigInteger), sa.Column("period", sa.Text),
)  # fmt: skip
offer_usage = sa.Table(
    "offer_usage", metadata,
    sa.Column("offer_id", sa.Text, primary_key=True), sa.Column("period", sa.Text, primary_key=True),
    sa.Column("held", sa.BigInteger), sa.Column("redeemed", sa.BigInteger), sa.Column("held_cents", sa.BigInteger),
    sa.Column("redeemed_cents", sa.BigInteger),
)  # fmt: skip
offer_holders = sa.Table(
    "offer_holders", metadata,
    sa.Column("offer_id", sa.Text, primary_key=True), sa.Column("customer_id", sa.Text, primary_key=True),
    sa.Column("held", sa.Integer), sa.Column("claimed_at", sa.BigInteger),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Held:
    """What a customer has of an offer: claims reserved or redeemed, and the epoch seconds of the newest."""

    held: int
    claimed_at: float


def find(connection: sa.Connection, claim_id: str) -> Any | None:
    """Return a claim, None where there is none."""
    return connection.execute(sa.select(claims).where(claims.c.claim_id == claim_id)).one_or_none()


def of_customer(connection: sa.Connection, customer_id: str) -> dict[str, Held]:
    """Return offer → what a customer has of it."""
    t = offer_holders.c
    query = sa.select(t.offer_id, t.held, t.claimed_at).where(t.customer_id == customer_id)
    return {offer_id: Held(held, at / MICROSECONDS) for offer_id, held, at in connection.execute(query)}


def created(connection: sa.Connection, offer_id: str, after: int) -> list[tuple[int, str]]:
    """Return (microseconds, state) of the claims on an offer made since a moment."""
    t = claims.c
    query = sa.select(t.created_at, t.state).where(t.offer_id == offer_id, t.created_at >= after)
    return [(at, state) for at, state in connection.execute(query)]


def due(connection: sa.Connection, now: int) -> bool:
    """Whether a reservation's time is over at `now` (microseconds)."""
    t = claims.c
    query = sa.select(t.claim_id).where(t.state == RESERVED, t.expires_at <= now).limit(1)
    return connection.execute(query).first() is not None


def holders(connection: sa.Connection, offer_ids: list[str]) -> list[tuple[str, str]]:
    """Return (offer, customer) of those who hold one of some offers, reserved or redeemed."""
    t = offer_holders.c
    query = sa.select(t.offer_id, t.customer_id).where(t.offer_id.in_(offer_ids), t.held > 0)
    return [(offer_id, customer_id) for offer_id, customer_id in connection.execute(query)]


def usage(connection: sa.Connection, periods: set[str]) -> dict[tuple[str, str], Any]:
    """Return (offer, period) → what was given out, of some periods."""
    t = offer_usage.c
    found = connection.execute(sa.select(offer_usage).where(t.period.in_(sorted(periods))))
    return {(row.offer_id, row.period): row for row in found}
