"""Claims: a customer reserves one unit of an offer, then redeems it or gives it back."""

from __future__ import annotations

import secrets
import threading
from dataclasses import replace
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
import structlog

from recsvc.errors import Conflict, Exhausted, Unavailable
from recsvc.flows import announce, early, offered, people, replies, terms
from recsvc.flows.current import Snapshot
from recsvc.flows.customers import Known
from recsvc.flows.interactions import Replay, once, rows_of
from recsvc.flows.offers import claimable
from recsvc.flows.shop import Shop
from recsvc.intake import shorten
from recsvc.store import claimed, claims, interactions
from recsvc.store.claimed import RESERVED
from recsvc.store.database import MICROSECONDS, reading

log = structlog.get_logger("recsvc.claims")
Fields = dict[str, Any]
# What is refused because it was used up, rather than not meant for this customer.
_SPENT: Final = ("capacity", "budget", "max_per_customer")
_SWEEP_SECONDS: Final = 30.0


def reserve(shop: Shop, offer_id: str, customer_id: str, channel: str | None, replay: Replay | None) -> Fields:
    """Reserve one unit of an offer for a customer and return the claim.

    Raises:
        NotFound: no such offer. Conflict: it is not for this customer now, or the idempotency key was used with another
            body. Exhausted: it is used up. Unavailable: nothing was kept.
    """
    snapshot, now = shop.current.snapshot, shop.clock()
    known = people.known(shop, snapshot, customer_id, now)

    def write(connection: sa.Connection) -> Fields:
        claims.free(connection, round(now * MICROSECONDS), offer_id)
        found = fresh(snapshot, claims.offer(connection, offer_id))
        check(connection, found, known, offer_id, customer_id, channel, now)
        return reserve_in(shop, connection, offer_id, customer_id, channel, None, now)

    return _seen(shop, once(shop, write, replay, Fields))


def fresh(snapshot: Snapshot, row: Any) -> Snapshot:
    """Return the snapshot with an offer as it is committed: another worker may have changed it just now."""
    known = snapshot.offered
    at = known.at.get(row.offer_id) if known is not None else None
    if known is not None and at is not None and known.rows[at].change == row.change:
        return snapshot
    others = [one for one in (known.rows if known is not None else []) if one.offer_id != row.offer_id]
    return replace(snapshot, offered=offered.of([*others, row]))


def check(
    connection: sa.Connection, snapshot: Snapshot, known: Known, offer_id: str, customer_id: str, channel: str | None,
    now: float,
) -> None:  # fmt: skip
    """Look whether an offer is for a customer now.

    Raises:
        Conflict: it is not; names the code. Exhausted: it is used up.
    """
    guest = people.read(connection, snapshot, known, customer_id, now, None)
    ground = claimable(snapshot, guest, offer_id, channel, now)
    if ground is None:
        return
    code, detail = ground
    raised = Exhausted if code in _SPENT else Conflict
    why = f"{code}: {detail}"
    raise raised(f"offer_id: {shorten(offer_id)} cannot be claimed: {why}", {"offer_id": why})


def reserve_in(
    shop: Shop, connection: sa.Connection, offer_id: str, customer_id: str, channel: str | None, send_id: str | None,
    now: float,
) -> Fields:  # fmt: skip
    """Reserve inside the caller's transaction. Raises as `store.claims.reserve`, and NotFound."""
    row = claims.offer(connection, offer_id)
    micro = round(now * MICROSECONDS)
    period = terms.periods(now)[(row.budget or {}).get("period", "total")]
    claim = {
        "claim_id": secrets.token_urlsafe(12), "offer_id": offer_id, "customer_id": customer_id, "state": RESERVED,
        "channel": channel, "send_id": send_id, "created_at": micro, "ended_at": None, "order_id": None,
        "expires_at": _expiry(micro, shop.settings.claim_seconds, row.ends_at), "value_cents": None,
        "cost_cents": row.cost_cents or 0, "period": period,
    }  # fmt: skip
    claims.reserve(connection, row, claim)
    return shown(claim)


def redeem(shop: Shop, claim_id: str, order_id: str | None, value_cents: int | None, replay: Replay | None) -> Fields:
    """Redeem a claim and return it. With the same order again, nothing happens twice.

    Raises:
        NotFound: no such claim. Conflict: it was given back, has expired, or was redeemed with another order.
        Exhausted: the offer's budget counts redemptions and is spent. Unavailable: nothing was kept.
    """
    news: dict[str, int] = {}

    def write(connection: sa.Connection) -> Fields:
        now = shop.clock()
        row = claims.redeem(connection, claim_id, order_id, value_cents, round(now * MICROSECONDS))
        # What was taken up is learnt from. No id of a caller holds NUL, so none can stand where this one belongs.
        told = rows_of([{
            "interaction_id": f"\0claim:{claim_id}", "customer_id": row.customer_id, "kind": "offer_redeemed",
            "offer_id": row.offer_id, "order_id": order_id, "value_cents": value_cents, "channel": row.channel,
            "send_id": row.send_id, "occurred_at": None,
        }], row.ended_at / MICROSECONDS)  # fmt: skip
        for revision in interactions.append(connection, told).values():
            news[row.customer_id] = revision
        return shown(dict(row._mapping))

    found = once(shop, write, replay, Fields)
    announce.tell(shop, news)
    return found


def release(shop: Shop, claim_id: str, replay: Replay | None) -> Fields:
    """Give a claim back and return it. Once more, nothing happens twice.

    Raises:
        NotFound: no such claim. Conflict: it was redeemed. Unavailable: nothing was kept.
    """

    def write(connection: sa.Connection) -> Fields:
        return shown(dict(claims.release(connection, claim_id, round(shop.clock() * MICROSECONDS))._mapping))

    return _seen(shop, once(shop, write, replay, Fields))


def _seen(shop: Shop, claim: Fields) -> Fields:
    """Return a claim; on an offer of early access this worker knows of it before anybody is told."""
    if any(one.kind == early.KIND for one in shop.current.snapshot.catalogue.offers):
        shop.current.refresh(shop.clock())
    return claim


def start(shop: Shop) -> None:
    """Let reservations go whose time is over, in a thread of this process, from now on."""

    def run() -> None:
        while not shop.current.ended(_SWEEP_SECONDS):
            now = round(shop.clock() * MICROSECONDS)
            try:
                with reading(shop.engine) as connection:
                    due = claimed.due(connection, now)
                if due:  # the lock for writing is not taken for nothing
                    shop.write(partial(claims.free, now=now))
            except (Unavailable, sa.exc.SQLAlchemyError):
                continue
            except Exception:  # the thread must outlive whatever one sweep runs into
                log.exception("reservations could not be freed")

    threading.Thread(target=run, name="claims", daemon=True).start()


def shown(claim: Fields) -> Fields:
    """Return a claim as the API shows it."""
    moments = ("created_at", "expires_at", "ended_at")
    return {name: replies.iso(value) if name in moments else value for name, value in claim.items() if name != "period"}


def _expiry(micro: int, seconds: int, ends_at: int | None) -> int:
    """Return when a reservation made now expires: never later than its offer ends."""
    later = micro + seconds * MICROSECONDS
    return later if ends_at is None else min(later, ends_at)
