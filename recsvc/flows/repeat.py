"""Buy again: what a customer bought before, by the chance that they buy it within some days."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import Generator, Reason, Source
from recsvc.engine import repeat
from recsvc.engine.history import History
from recsvc.engine.repeat import Wanted
from recsvc.flows import customers, replies
from recsvc.flows.answers import Ask, View, answer
from recsvc.flows.customers import Known
from recsvc.flows.replies import Answer
from recsvc.flows.shop import Shop

WITHIN_DAYS, MIN_P = repeat.WITHIN_DAYS, repeat.MIN_P


def buy_again(shop: Shop, customer_id: str, limit: int, within_days: int = WITHIN_DAYS, min_p: float = MIN_P) -> Answer:
    """Return what a customer bought before and buys again within `within_days` days with a chance of at least `min_p`,
    by falling chance; empty for who bought nothing, or nothing that is due."""

    def make(view: View) -> tuple[dict[str, Any], Known]:
        known = customers.look_up(shop.engine, view.snapshot, customer_id, view.now)
        wanted = Wanted(limit, within_days, min_p, _never(view, known.history))
        found = repeat.buy_again(view.model, known.history, view.shelf, view.now, wanted)
        items = [_item(view, known, found, i) for i in range(len(found.rows))]
        source = Source.LIVE if known.fresh else Source.PERSONAL
        return replies.envelope(view.snapshot, view.now, "buy_again", customer_id, source, None, items), known

    ask = Ask("buy_again", customer_id, limit, popular=False, asked=[within_days, min_p])
    return answer(shop, ask, make)


def _never(view: View, history: History) -> Array:
    """Return the item rows of a history that the catalogue says are never bought twice."""
    items, ids = view.snapshot.catalogue.items, view.model.item_ids
    found = [row for row in history.item_rows.tolist() if (one := items.get(ids[row])) and one.repeatable is False]
    return np.array(found, np.int32)


def _item(view: View, known: Known, found: repeat.Repeats, position: int) -> dict[str, Any]:
    row = int(found.rows[position])
    item_id = view.model.item_ids[row]
    reason = {
        # A sensitive item is never cited, not even to the one who bought it.
        "code": Reason.DUE_AGAIN.value, "item_id": None if view.shelf.sensitive[row] else item_id, "share": 1.0,
        "text": replies.say_repeat(known.history, row),
    }  # fmt: skip
    chance = float(found.p_due[position])
    return {
        **replies.item(view.snapshot, item_id, chance, Generator.REPEAT.value, reason),
        "last_bought_at": replies.moment(float(found.last_at[position])),
        "interval_days": round(float(found.interval_days[position]), 2),
        "due_at": replies.moment(float(found.due_at[position])), "p_due": round(chance, 6),
    }  # fmt: skip
