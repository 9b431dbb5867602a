"""Why a customer gets an offer, or why not: the decision itself, made as for anybody who asks."""

from __future__ import annotations

from typing import Any

from recsvc.errors import NotFound
from recsvc.flows import offers, people, replies
from recsvc.flows.answers import at_hand
from recsvc.flows.offers import Asked
from recsvc.flows.shop import Shop
from recsvc.intake import shorten


def explain(shop: Shop, customer_id: str, offer_id: str, asked: Asked) -> dict[str, Any]:
    """Return why a customer gets an offer among the first that are asked for, or the ground why not. Counts nothing.

    Raises:
        NotFound: no such offer.
    """
    snapshot, now = at_hand(shop)
    offered = snapshot.offered
    if offered is None or offer_id not in offered.at:
        raise NotFound(f"offer_id: {shorten(offer_id)} does not exist", {"offer_id": "does not exist"})
    at = offered.at[offer_id]
    guest = people.meet(shop, snapshot, customer_id, now, asked.channel)
    decision = offers.decide(shop, snapshot, guest, asked, now)
    shown, ground = at in decision.offers, decision.refused.get(at)
    told = offers.told(decision, at, asked.locale) if decision.p is not None else None
    return {
        "customer_id": customer_id, "offer_id": offer_id, "channel": decision.reach.channel,
        "model_version": snapshot.model.version if snapshot.model else None, "generated_at": replies.moment(now),
        "shown": shown, "slot": list(decision.offers).index(at) + 1 if shown else None,
        "rank": list(decision.ordered).index(at) + 1 if at in decision.ordered else None,
        "score": told and told["score"], "p_redeem": told and told["p_redeem"],
        "goodwill": round(guest.standing.value, 3), "reasons": told["reasons"] if told and shown else [],
        "absent": [] if ground is None else [{"code": ground[0], "detail": ground[1]}],
    }  # fmt: skip
