"""Offers of a customer: those that are for them now, ordered by expected money. Reading them writes nothing.

The same decision serves every door: the storefront's question, the batch of a mailing, a sending that is kept, the
offer beside a recommended item and the explanation of one offer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import msgspec
import numpy as np

from recsvc.concepts import Reason
from recsvc.engine import channels, choice, redemption, refusals
from recsvc.engine import offers as engine_offers
from recsvc.engine.channels import Reach
from recsvc.engine.choice import Wares
from recsvc.engine.history import DAY
from recsvc.engine.offers import Evidence
from recsvc.engine.refusals import Opening, Refusal
from recsvc.errors import RecsvcError
from recsvc.flows import people, replies, terms, texts
from recsvc.flows.answers import at_hand
from recsvc.flows.current import Snapshot
from recsvc.flows.offered import Offered
from recsvc.flows.people import Guest, Meeting
from recsvc.flows.replies import Answer
from recsvc.flows.shop import Shop

LIMIT: Final = 3
_CHUNK: Final = 100
_NOWHERE: Final = "it cannot be told now whether it is open to them: the database is away"
_NO_EVIDENCE: Final = Evidence(-1, np.empty(0, np.int32))


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a customer's offers. channel: None for the shop's own page, `best` for one of those that go out
    by themselves. cart: item ids. kinds: only of these; empty for all. explain: whether the refused are told."""

    limit: int = LIMIT
    channel: str | None = None
    placement: str | None = None
    cart: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    explain: bool = False
    locale: str | None = None


Line = tuple[str, Asked] | RecsvcError
"""A customer and what is asked for them, or why the line could not be read."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a customer gets. offers: positions in `offered`, best first; ordered: those that nothing refused alone.
    refused: position → why not. p, scores: (o,)."""

    snapshot: Snapshot
    offered: Offered
    guest: Guest
    reach: Reach
    now: float
    offers: Sequence[int]
    refused: Mapping[int, Refusal]
    p: Any
    scores: Any
    ordered: Sequence[int] = field(default_factory=list)


def offers(shop: Shop, customer_id: str, asked: Asked) -> Answer:
    """Return the best offers for a customer now."""
    snapshot, now = at_hand(shop)
    guest = people.meet(shop, snapshot, customer_id, now, asked.channel)
    decision = decide(shop, snapshot, guest, asked, now)
    return Answer(msgspec.json.encode(reply(decision, asked)), "miss", degraded(snapshot, guest))


def degraded(snapshot: Snapshot, guest: Guest) -> tuple[str, ...]:
    """Return what was away when a decision was made."""
    return tuple(dict.fromkeys((*(("database",) if guest.away else ()), *snapshot.lacks)))


def lines(shop: Shop, asked: Iterable[Line]) -> Iterator[bytes]:
    """Yield the replies in order, a line each, some at a time. Nothing is claimed, counted or kept."""
    place, rest = 0, iter(asked)
    while chunk := list(islice(rest, _CHUNK)):
        snapshot, now = at_hand(shop)
        found = []
        for one in chunk:
            if isinstance(one, RecsvcError):
                error = {"code": next(iter(one.fields), "body"), "message": one.message}
                found.append(replies.encode({"index": place, "error": error}))
            else:
                customer_id, wanted = one
                guest = people.meet(shop, snapshot, customer_id, now, wanted.channel)
                found.append(replies.encode(reply(decide(shop, snapshot, guest, wanted, now), wanted)))
            place += 1
        yield b"".join(body + b"\n" for body in found)


def decide(shop: Shop, snapshot: Snapshot, guest: Guest, asked: Asked, now: float) -> Decision:
    """Return which offers a customer gets, and why not the others."""
    assert snapshot.offered is not None
    offered, reach = snapshot.offered, channels.decide(asked.channel, guest.contact, now)
    if guest.away and reach.channel in (*channels.CONTACTS, None):
        reach = Reach(reach.channel, "no_consent", False, "no_consent", "consent cannot be looked up now")
    if reach.code is not None:
        none = dict.fromkeys(range(len(offered.rows)), (reach.code, reach.detail))
        refused = {at: ended(snapshot, at, now) or ground for at, ground in none.items()}
        return Decision(snapshot, offered, guest, reach, now, [], refused, None, None)
    assert reach.channel is not None
    person = guest.person(snapshot, Meeting(asked.cart, now), reach.channel, offered.groups)
    opening = Opening(now, reach.channel, frozenset(asked.kinds), guest.used, terms.periods(now))
    open_, refused = [], {}
    for at, one in enumerate(offered.terms):
        ground = refusals.refused(one, person, opening)
        if ground is None and guest.away and not (one.plain and one.eligible is None):
            ground = "unavailable", _NOWHERE
        if ground is None:
            open_.append(at)
        else:
            refused[at] = ground
    wares = _wares(snapshot, guest, now, open_)
    model, threshold = snapshot.model, shop.settings.likely_buyer
    anyway = model is not None and choice.buys_anyway(model.timing, guest.known.history, now, threshold)
    ordered = choice.order(wares, open_, person, anyway)
    chosen = choice.choose(wares, ordered, person, asked.limit)
    refused |= dict(chosen.refused)
    return Decision(snapshot, offered, guest, reach, now, chosen.offers, refused, wares.p, wares.scores, ordered)


def ended(snapshot: Snapshot, at: int, now: float) -> Refusal | None:
    """Return why nobody gets an offer now, None where somebody may."""
    assert snapshot.offered is not None
    one = snapshot.offered.terms[at]
    if not one.active or not one.starts_at <= now < one.ends_at:
        return refusals.refused(one, refusals.Person({}), Opening(now, channels.WEB))
    return None


def _wares(snapshot: Snapshot, guest: Guest, now: float, open_: Sequence[int]) -> Wares:
    offered = snapshot.offered
    assert offered is not None
    count = len(offered.rows)
    available = offered.available(snapshot.shelf, snapshot.catalogue, now)
    if snapshot.model is None or offered.book is None:
        p = np.full(count, redemption.PRIOR_RATE)
        return Wares(offered.terms, p, offered.value, offered.cost, np.zeros(count), available)
    only, known = np.array(open_, np.int64), guest.known
    p = redemption.chances(snapshot.model.takers, offered.book.about, known.history, known.row, now, only)
    return Wares(offered.terms, p, offered.value, offered.cost, offered.book.fame, available)


def reply(decision: Decision, asked: Asked, claims: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the reply of a decision.

    Args:
        claims: offer → the claim that was made on it.
    """
    found = [told(decision, at, asked.locale, (claims or {}).get(decision.offered.rows[at].offer_id))
             for at in decision.offers]  # fmt: skip
    customer_id, reach = decision.guest.customer_id, decision.reach
    # Named after what it holds, so that an unchanged answer has unchanged bytes.
    parts = [decision.snapshot.version, customer_id, reach.channel, found]
    name = hashlib.blake2b(msgspec.json.encode(parts), digest_size=9).hexdigest()
    shown: dict[str, Any] = {
        "recommendation_id": name, "customer_id": customer_id, "channel": reach.channel, "offers": found,
        "not_eligible": not_eligible(decision) if asked.explain else [],
        "channel_decision": {
            "channel": reach.channel, "why": reach.why, "consent": reach.consent, "detail": reach.detail or None,
        },
    }  # fmt: skip
    return shown


def not_eligible(decision: Decision) -> list[dict[str, Any]]:
    """Return the offers that do not come, each with why."""
    rows = decision.offered.rows
    return [
        {"offer_id": rows[at].offer_id, "code": code, "detail": detail}
        for at, (code, detail) in sorted(decision.refused.items())
    ]


def told(decision: Decision, at: int, locale: str | None, claim_id: str | None = None) -> dict[str, Any]:
    """Return an offer as a reply tells it."""
    snapshot, row = decision.snapshot, decision.offered.rows[at]
    model, book, seen = snapshot.model, decision.offered.book, _NO_EVIDENCE
    if model is not None and book is not None and snapshot.shelf is not None:
        seen = engine_offers.evidence(book, model, decision.guest.known.history, snapshot.shelf, at)
        items = [model.item_ids[one] for one in seen.item_rows.tolist()]
        in_all = max(len(row.items), int(book.offsets[at + 1] - book.offsets[at]))
    else:
        items, in_all = row.items[: engine_offers.SHOWN], len(row.items)
    estimated = [name for name in ("value_cents", "cost_cents", "benefit") if name in _estimated(row)]
    locale = locale or decision.guest.row.get("locale")
    return {
        "offer_id": row.offer_id, "name": row.name, "kind": row.kind, "score": round(float(decision.scores[at]), 6),
        "p_redeem": round(float(decision.p[at]), 6), "uplift": None, "value_cents": row.value_cents,
        "cost_cents": row.cost_cents, "currency": row.currency, "benefit": row.benefit,
        "creative": texts.creative(row.creative, locale), "items": items, "items_in_all": in_all,
        "valid_from": replies.iso(row.starts_at), "valid_until": replies.iso(row.ends_at), "claim_id": claim_id,
        "estimated": ["p_redeem", "score", *estimated], "reasons": [_reason(decision, seen, locale)],
    }  # fmt: skip


def _estimated(row: Any) -> Sequence[str]:
    found = (row.attributes or {}).get("estimated", ())
    return found if isinstance(found, list) else ()


def _reason(decision: Decision, seen: Evidence, locale: str | None) -> dict[str, Any]:
    model, history = decision.snapshot.model, decision.guest.known.history
    if seen.cited < 0 or model is None:
        return {"code": Reason.FALLBACK.value, "item_id": None, "share": 1.0,
                "text": texts.say(texts.OFFER_FALLBACK, locale)}  # fmt: skip
    item_id = model.item_ids[seen.cited]
    # The part of it in what they buy of the offer's items.
    bought = np.where(history.liked, history.repeats, 0.0)
    whole = float(bought[np.isin(history.item_rows, seen.item_rows)].sum())
    own = float(bought[history.item_rows == seen.cited].sum())
    text = texts.say(Reason.OFFER_FIT, locale, title=replies.fields(decision.snapshot, item_id)["title"])
    return {"code": Reason.OFFER_FIT.value, "item_id": item_id, "share": round(own / whole, 4) if whole else 1.0,
            "text": text}  # fmt: skip


def claimable(
    snapshot: Snapshot, guest: Guest, offer_id: str, channel: str | None, now: float
) -> Refusal | None:  # fmt: skip
    """Return why a customer may not claim an offer now, None where they may. How often it was shown does not count, and
    whether it is the best is not asked."""
    offered = snapshot.offered
    at = offered.at.get(offer_id) if offered is not None else None
    if offered is None or at is None:
        return "inactive", "it is not among the shop's offers"
    one = offered.terms[at]
    person = guest.person(snapshot, Meeting((), now), channel or channels.WEB, offered.groups)
    found = refusals.refused(one, person, Opening(now, channel or channels.WEB, frozenset(), guest.used,
                                                  terms.periods(now)))  # fmt: skip
    if found is not None and not _shown_only(found, guest, offer_id, now, one.cooldown_days):
        return found
    other = person.groups.get(one.exclusive_group) if one.exclusive_group is not None else None
    if other is not None and other != offer_id:
        return "exclusive_group", f"{other} of the group {one.exclusive_group} is held"
    return None


def _shown_only(found: Refusal, guest: Guest, offer_id: str, now: float, cooldown_days: int | None) -> bool:
    """Whether a refusal is about showing: who was just shown an offer is the one who claims it."""
    held, claimed_at = guest.held.get(offer_id, (0, 0.0))
    if found[0] == "cooldown":
        return not (held and now - claimed_at < (cooldown_days or 0) * DAY)
    return found[0] == "max_shown"
