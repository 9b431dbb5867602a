"""Offers of a customer: those valid now, ordered by what the customer buys. Reading them writes nothing."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from recsvc.concepts import Reason
from recsvc.engine import offers as engine_offers
from recsvc.flows import customers, replies, texts
from recsvc.flows.current import Snapshot
from recsvc.flows.replies import Answer
from recsvc.flows.shop import Shop


def offers(shop: Shop, customer_id: str, limit: int) -> Answer:
    """Return the best offers for a customer now. `p_redeem` and `uplift` are null: nothing estimates them yet."""
    snapshot, now = shop.current.snapshot, shop.clock()
    found: list[dict[str, Any]] = []
    degraded = snapshot.lacks
    if snapshot.model is None or snapshot.book is None or snapshot.shelf is None:
        live = [one for one in snapshot.catalogue.offers if _valid(one, now)]
        found = [_offer(snapshot, one, 0.0, -1, one.items[:20]) for one in live[:limit]]
    else:
        known = customers.look_up(shop.engine, snapshot, customer_id, now)
        if known.away:
            degraded = ("database",)
        model = snapshot.model
        ordered = engine_offers.order(snapshot.book, model, known.history, snapshot.shelf, now, limit)
        for offer, score, cited, rows in zip(ordered.offers, ordered.scores, ordered.cited, ordered.items, strict=True):
            items = [model.item_ids[row] for row in rows]
            found.append(_offer(snapshot, snapshot.catalogue.offers[offer], float(score), int(cited), items))
    # Named after what it holds, so that an unchanged answer has unchanged bytes.
    name = hashlib.blake2b(msgspec.json.encode([snapshot.version, customer_id, found]), digest_size=9).hexdigest()
    reply = {"recommendation_id": name, "customer_id": customer_id, "offers": found}
    return Answer(msgspec.json.encode(reply), "miss", degraded)


def _offer(snapshot: Snapshot, offer: Any, score: float, cited: int, items: list[str]) -> dict[str, Any]:
    estimated = [
        name for name in ("value_cents", "cost_cents", "benefit") if name in offer.attributes.get("estimated", ())
    ]
    reason = {"code": Reason.FALLBACK.value, "item_id": None, "text": texts.say(texts.OFFER_FALLBACK)}
    if cited >= 0:
        assert snapshot.model is not None
        item_id = snapshot.model.item_ids[cited]
        text = texts.say(Reason.OFFER_FIT, title=replies.fields(snapshot, item_id)["title"])
        reason = {"code": Reason.OFFER_FIT.value, "item_id": item_id, "text": text}
    return {
        "offer_id": offer.offer_id, "name": offer.name, "kind": offer.kind, "score": round(score, 6),
        "p_redeem": None, "uplift": None, "value_cents": offer.value_cents, "cost_cents": offer.cost_cents,
        "currency": offer.currency, "benefit": offer.benefit, "items": items, "items_in_all": len(offer.items),
        "valid_from": replies.iso(offer.starts_at), "valid_until": replies.iso(offer.ends_at), "claim_id": None,
        "estimated": estimated, "reasons": [reason],
    }  # fmt: skip


def _valid(offer: Any, now: float) -> bool:
    micro = now * 1e6
    return bool(
        offer.active and (offer.starts_at is None or offer.starts_at <= micro)
        and (offer.ends_at is None or micro < offer.ends_at)
    )  # fmt: skip
