"""Tied offers: beside each item of a list the customer's best offer on it."""

from __future__ import annotations

from typing import Any

from recsvc.flows import offers, people
from recsvc.flows.answers import View
from recsvc.flows.offers import Asked, Decision


def tie(view: View, customer_id: str | None, asked: Asked, items: list[dict[str, Any]]) -> None:
    """Put into each item `offer`: the best of the customer's offers that it belongs to, None without any. Somebody
    without a name has none: what limits an offer counts by customer."""
    for one in items:
        one["offer"] = None
    if customer_id is None or not items or view.snapshot.offered is None or not view.snapshot.offered.rows:
        return
    guest = people.meet(view.shop, view.snapshot, customer_id, view.now, asked.channel)
    decision = offers.decide(view.shop, view.snapshot, guest, asked, view.now)
    for one in items:
        at = _best(view, decision, one["item_id"])
        if at is not None:
            one["offer"] = offers.told(decision, at, asked.locale)


def _best(view: View, decision: Decision, item_id: str) -> int | None:
    """Return the first of a customer's offers that an item belongs to."""
    book, row = decision.offered.book, view.model.rows.get(item_id, -1)
    if book is not None and row >= 0:
        about = book.about
        mine = set(about.offers[int(about.offsets[row]) : int(about.offsets[row + 1])].tolist())
    else:
        mine = {at for at in decision.ordered if item_id in decision.offered.rows[at].items}
    return next((at for at in decision.ordered if at in mine), None)
