"""Writing claims: a unit of an offer is taken by conditions that the database itself checks, so that it is never sold
twice, by however many at once.

Everything happens in the caller's transaction. The row of the offer is read in it, and on Postgres held until its end:
an offer that was paused, ended or lowered is so for every claim after that commit. The counts are rows of their own;
each is raised by one UPDATE whose condition is its limit.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from recsvc.errors import Conflict, Exhausted, NotFound
from recsvc.intake import shorten
from recsvc.store.claimed import (
    EXPIRED,
    REDEEMED,
    RELEASED,
    RESERVED,
    claims,
    find,
    offer_holders,
    offer_usage,
)
from recsvc.store.database import insert
from recsvc.store.facts import advance
from recsvc.store.offers import offers

_ZERO = {"held": 0, "redeemed": 0, "held_cents": 0, "redeemed_cents": 0}
_SWEPT = 500


def offer(connection: sa.Connection, offer_id: str) -> Any:
    """Return the row of an offer as it is committed, held against changes until this transaction ends.

    Raises:
        NotFound: no such offer.
    """
    query = sa.select(offers).where(offers.c.offer_id == offer_id, sa.not_(offers.c.deleted))
    found = connection.execute(query.with_for_update(read=True)).one_or_none()
    if found is None:
        raise NotFound(f"offer_id: {shorten(offer_id)} does not exist", {"offer_id": "does not exist"})
    return found


def reserve(connection: sa.Connection, row: Any, claim: dict[str, Any]) -> None:
    """Take one unit of an offer for a customer, or nothing.

    Args:
        row: from `offer`. claim: the row of `claims`, with `period` the running one of the offer's budget.

    Raises:
        Exhausted: the offer, its budget or this customer's share is used up; the transaction must be rolled back to
            where it was before.
    """
    budget, offer_id = row.budget or {}, row.offer_id
    _begin(connection, offer_id, {"", claim["period"]})
    t, cents = offer_usage.c, claim["cost_cents"]
    room = [] if row.capacity is None else [t.held < row.capacity]
    if claim["period"] == "":
        room += _room(budget, cents)
    _raise(connection, offer_id, "", cents, room, _what(row))
    if claim["period"] != "":
        _raise(connection, offer_id, claim["period"], cents, _room(budget, cents), "its budget of this period")
    _hold(connection, row, claim)
    connection.execute(sa.insert(claims), claim)
    _announce_early(connection, row.offer_id)


def redeem(connection: sa.Connection, claim_id: str, order_id: str | None, value_cents: int | None, now: int) -> Any:
    """Redeem a claim and return its row; one that was redeemed with the same order stays as it is.

    Raises:
        NotFound: no such claim. Conflict: it ended in another way. Exhausted: a budget of redemptions is spent.
    """
    found = _found(connection, claim_id)
    if found.state == REDEEMED and found.order_id == order_id:
        return found
    if found.state != RESERVED:
        raise Conflict(f"claim_id: {shorten(claim_id)} is {found.state} already", {"claim_id": f"is {found.state}"})
    if found.expires_at <= now:
        raise Conflict(f"claim_id: {shorten(claim_id)} has expired", {"claim_id": "has expired"})
    changed = {"state": REDEEMED, "order_id": order_id, "value_cents": value_cents, "ended_at": now}
    if not _turn(connection, claim_id, changed):
        return redeem(connection, claim_id, order_id, value_cents, now)
    query = sa.select(offers.c.budget).where(offers.c.offer_id == found.offer_id)
    budget = connection.scalar(query.with_for_update(read=True)) or {}
    t = offer_usage.c
    for period in sorted({"", found.period}):
        room = []
        if budget.get("counts") == "redeemed" and period == found.period:
            spent = t.redeemed + 1 if budget["unit"] == "usage" else t.redeemed_cents + found.cost_cents
            room.append(spent <= budget["limit"])
        change = {"redeemed": t.redeemed + 1, "redeemed_cents": t.redeemed_cents + found.cost_cents}
        if not connection.execute(_update(found.offer_id, period, room).values(**change)).rowcount:
            raise Exhausted("offer_id: its budget is spent by redemptions", {"offer_id": "its budget is spent"})
    return _found(connection, claim_id)


def release(connection: sa.Connection, claim_id: str, now: int) -> Any:
    """Give a claim back and return its row; one that was given back or has expired stays as it is.

    Raises:
        NotFound: no such claim. Conflict: it was redeemed.
    """
    found = _found(connection, claim_id)
    if found.state == REDEEMED:
        raise Conflict(f"claim_id: {shorten(claim_id)} is redeemed", {"claim_id": "is redeemed"})
    if found.state == RESERVED and _turn(connection, claim_id, {"state": RELEASED, "ended_at": now}):
        _give_back(connection, found)
    return _found(connection, claim_id)


def free(connection: sa.Connection, now: int, offer_id: str | None = None) -> int:
    """Let reservations go whose time is over at `now` (microseconds), at most 500. Returns how many."""
    t = claims.c
    query = sa.select(claims).where(t.state == RESERVED, t.expires_at <= now).limit(_SWEPT)
    # In one order: two that sweep at once wait for each other, and never in a circle.
    rows = connection.execute((query if offer_id is None else query.where(t.offer_id == offer_id)).order_by(t.claim_id))
    gone = [row for row in rows.all() if _turn(connection, row.claim_id, {"state": EXPIRED, "ended_at": now})]
    for row in gone:
        _give_back(connection, row)
    return len(gone)


def _turn(connection: sa.Connection, claim_id: str, change: dict[str, Any]) -> bool:
    """Change a claim that is reserved still. False where another was first."""
    t = claims.c
    turned = sa.update(claims).where(t.claim_id == claim_id, t.state == RESERVED).values(**change)
    return bool(connection.execute(turned).rowcount)


def _found(connection: sa.Connection, claim_id: str) -> Any:
    found = find(connection, claim_id)
    if found is None:
        raise NotFound(f"claim_id: {shorten(claim_id)} does not exist", {"claim_id": "does not exist"})
    return found


def _begin(connection: sa.Connection, offer_id: str, periods: set[str]) -> None:
    rows = [{"offer_id": offer_id, "period": period, **_ZERO} for period in sorted(periods)]
    connection.execute(insert(connection, offer_usage).on_conflict_do_nothing(), rows)


def _room(budget: dict[str, Any], cents: int) -> list[Any]:
    """Return the conditions under which a budget has room for one more."""
    if not budget:
        return []
    t, limit, usage = offer_usage.c, budget["limit"], budget["unit"] == "usage"
    if budget["counts"] == "issued":
        return [t.held < limit if usage else t.held_cents + cents <= limit]
    return [t.redeemed < limit if usage else t.redeemed_cents + cents <= limit]


def _raise(connection: sa.Connection, offer_id: str, period: str, cents: int, room: list[Any], what: str) -> None:
    t = offer_usage.c
    change = {"held": t.held + 1, "held_cents": t.held_cents + cents}
    if not connection.execute(_update(offer_id, period, room).values(**change)).rowcount:
        raise Exhausted(f"offer_id: {what} is used up", {"offer_id": f"{what} is used up"})


def _update(offer_id: str, period: str, room: list[Any]) -> sa.Update:
    t = offer_usage.c
    return sa.update(offer_usage).where(t.offer_id == offer_id, t.period == period, *room)


def _what(row: Any) -> str:
    return "its budget" if row.capacity is None else "its capacity" if not row.budget else "its capacity or budget"


def _hold(connection: sa.Connection, row: Any, claim: dict[str, Any]) -> None:
    t = offer_holders.c
    new = insert(connection, offer_holders).values(
        offer_id=row.offer_id, customer_id=claim["customer_id"], held=1, claimed_at=claim["created_at"]
    )
    most = row.max_per_customer
    counted = new.on_conflict_do_update(
        index_elements=["offer_id", "customer_id"], set_={"held": t.held + 1, "claimed_at": claim["created_at"]},
        where=None if most is None else t.held < most,
    ).returning(t.held)  # fmt: skip
    if connection.execute(counted).first() is None:
        what = f"what one customer may have of it ({most})"
        raise Exhausted(f"offer_id: {what} is used up", {"offer_id": f"{what} is used up"})


def _give_back(connection: sa.Connection, row: Any) -> None:
    t, h = offer_usage.c, offer_holders.c
    for period in sorted({"", row.period}):
        change = {"held": t.held - 1, "held_cents": t.held_cents - row.cost_cents}
        connection.execute(_update(row.offer_id, period, []).values(**change))
    mine = sa.update(offer_holders).where(h.offer_id == row.offer_id, h.customer_id == row.customer_id)
    connection.execute(mine.values(held=h.held - 1))
    _announce_early(connection, row.offer_id)


def _announce_early(connection: sa.Connection, offer_id: str) -> None:
    """Have every worker look anew who holds an offer of early access: it opens its items to them."""
    if connection.scalar(sa.select(offers.c.kind).where(offers.c.offer_id == offer_id)) == "early_access":
        advance(connection, "catalogue")
