"""Sends: the offers of one customer in one sending, decided and counted once, and reservations asked for with them.

Under a `send_id` the first call decides, counts one contact and keeps what it decided, in one commit; every later call
for the same customer and channel replays that, less what has gone since: consent, or the offer itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from recsvc.engine import channels
from recsvc.errors import Exhausted, Unavailable
from recsvc.flows import claims, offered, offers, people
from recsvc.flows.answers import at_hand
from recsvc.flows.current import Snapshot
from recsvc.flows.customers import Known
from recsvc.flows.interactions import Replay, once
from recsvc.flows.offers import Asked, Decision
from recsvc.flows.shop import Shop
from recsvc.store import claims as claims_store
from recsvc.store import offers as offer_store
from recsvc.store import sends
from recsvc.store.database import MICROSECONDS

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sending:
    """What is done with a decision. reserve: whether each offer is reserved. send_id: the sending; None for none."""

    reserve: bool = False
    send_id: str | None = None


def post(shop: Shop, customer_id: str, asked: Asked, sending: Sending, replay: Replay | None) -> Fields:
    """Decide a customer's offers and do what was asked with them, in one commit.

    Raises:
        Conflict: the idempotency key was used with another body. Unavailable: nothing was kept.
    """
    snapshot, now = at_hand(shop)
    known = people.known(shop, snapshot, customer_id, now)
    if known.away:
        raise Unavailable("the database cannot be asked now; send it again")
    if sending.send_id is not None and asked.channel is None:
        asked = replace(asked, channel=channels.BEST)

    def write(connection: sa.Connection) -> Fields:
        claims_store.free(connection, round(now * MICROSECONDS))  # what expired is there for others
        view = _committed(snapshot, connection)
        if sending.send_id is None:
            return _decided(shop, connection, view, known, customer_id, asked, sending, now)
        return _sent(shop, connection, view, known, customer_id, asked, sending, now)

    return once(shop, write, replay, Fields)


def _committed(snapshot: Snapshot, connection: sa.Connection) -> Snapshot:
    """Return the snapshot with the offers as they are committed, where they are others than this worker knows."""
    if snapshot.offered is not None and offer_store.newest(connection) <= snapshot.catalogue.change:
        return snapshot
    found = offered.of(offer_store.load(connection))
    if snapshot.model is not None and snapshot.traits is not None:
        found = offered.with_model(found, snapshot.model, snapshot.traits)
    return replace(snapshot, offered=found)


def _decided(
    shop: Shop, connection: sa.Connection, snapshot: Snapshot, known: Known, customer_id: str, asked: Asked,
    sending: Sending, now: float,
) -> Fields:  # fmt: skip
    """Return the reply of a decision made now, its offers reserved where that was asked."""
    guest = people.read(connection, snapshot, known, customer_id, now, asked.channel)
    decision = offers.decide(shop, snapshot, guest, asked, now)
    if not sending.reserve:
        return offers.reply(decision, asked)
    made: dict[str, str] = {}
    taken, refused = [], dict(decision.refused)
    # Who decides in this transaction decides alone, but for what expired or was bought in another since the look.
    for at in decision.offers:
        offer_id = decision.offered.rows[at].offer_id
        try:
            with connection.begin_nested():
                claim = claims.reserve_in(
                    shop, connection, offer_id, customer_id, decision.reach.channel, sending.send_id, now
                )
        except Exhausted as error:
            refused[at] = ("budget", error.message)
            continue
        made[offer_id] = claim["claim_id"]
        taken.append(at)
    return offers.reply(replace(decision, offers=taken, refused=refused), asked, made)


def _sent(
    shop: Shop, connection: sa.Connection, snapshot: Snapshot, known: Known, customer_id: str, asked: Asked,
    sending: Sending, now: float,
) -> Fields:  # fmt: skip
    """Return what was decided for a sending, now or before."""
    assert sending.send_id is not None and asked.channel is not None
    wanted = None if asked.channel == channels.BEST else asked.channel
    kept = sends.find(connection, customer_id, sending.send_id, wanted)
    if kept is not None:
        return _replayed(shop, connection, snapshot, known, customer_id, asked, kept, now)
    found = _decided(shop, connection, snapshot, known, customer_id, asked, sending, now)
    if not found["offers"]:
        return found  # nothing goes out: after the quiet hours, or with consent, it is decided then
    contacted = found["channel"] in channels.CONTACTS
    micro = round(now * MICROSECONDS)
    sends.keep(connection, {
        "customer_id": customer_id, "send_id": sending.send_id, "channel": found["channel"],
        "decided": found | {"not_eligible": []}, "decided_at": micro, "contacted_at": micro if contacted else None,
    })  # fmt: skip
    return found


def _replayed(
    shop: Shop, connection: sa.Connection, snapshot: Snapshot, known: Known, customer_id: str, asked: Asked,
    kept: Fields, now: float,
) -> Fields:  # fmt: skip
    """Return what was decided before, without what has gone since. Quiet hours and the contact cap were looked at when
    it was decided: this is that contact."""
    channel = kept["channel_decision"]["channel"]
    guest = people.read(connection, snapshot, known, customer_id, now, asked.channel)
    consent = channel not in channels.CONTACTS or guest.contact.consent.get(channel, False)
    if kept["offers"] and not consent:
        gone = [{"offer_id": one["offer_id"], "code": "no_consent", "detail": f"no consent to {channel}"}
                for one in kept["offers"]]  # fmt: skip
        why = {"channel": channel, "why": "no_consent", "consent": False, "detail": f"no consent to {channel}"}
        return kept | {"offers": [], "not_eligible": gone if asked.explain else [], "channel_decision": why}
    left, gone = [], []
    for one in kept["offers"]:
        ground = _gone(snapshot, one["offer_id"], now)
        if ground is None:
            left.append(one)
        else:
            gone.append({"offer_id": one["offer_id"], "code": ground[0], "detail": ground[1]})
    return kept | {"offers": left, "not_eligible": gone if asked.explain else []}


def _gone(snapshot: Snapshot, offer_id: str, now: float) -> tuple[str, str] | None:
    """Return why an offer that was sent is nobody's any more."""
    assert snapshot.offered is not None
    at = snapshot.offered.at.get(offer_id)
    return ("inactive", "it is not among the shop's offers") if at is None else offers.ended(snapshot, at, now)


def dry_run(shop: Shop, customer_id: str, asked: Asked, sending: Sending) -> Fields:
    """Return what `post` would decide, and keep nothing.

    Raises:
        Unavailable: the database cannot be asked.
    """
    snapshot, now = at_hand(shop)
    if sending.send_id is not None and asked.channel is None:
        asked = replace(asked, channel=channels.BEST)
    guest = people.meet(shop, snapshot, customer_id, now, asked.channel)
    if guest.away:
        raise Unavailable("the database cannot be asked now; send it again")
    decision: Decision = offers.decide(shop, snapshot, guest, asked, now)
    return offers.reply(decision, asked)
