"""Pages: several lists for one customer, made of one moment and one model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from recsvc import metrics
from recsvc.flows import customers, lists, placements, replies
from recsvc.flows.answers import View, at_hand, without_model
from recsvc.flows.customers import Event
from recsvc.flows.questions import Question
from recsvc.flows.replies import Answer
from recsvc.flows.shop import Shop


def page(
    shop: Shop, customer_id: str | None, blocks: Sequence[Question], distinct: bool, doing: tuple[Event, ...] = ()
) -> Answer:
    """Return the lists of a page, in the order of its blocks.

    Args:
        distinct: whether an item stands on the page once; then it stands in the first block that has it.
        doing: as in `lists.recommendations`.

    Raises:
        InvalidRequest: a placement that does not exist.
    """
    snapshot, now = at_hand(shop)
    blocks = [placements.settled(snapshot, block, f"blocks.{at}.placement") for at, block in enumerate(blocks)]
    made: list[dict[str, Any]] = []
    shown: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ("database",) if snapshot.state.copied else ()
    view = known = None
    if snapshot.model is not None and snapshot.shelf is not None:
        view = View(shop, snapshot, snapshot.model, snapshot.shelf, now)
        known = customers.look_up(shop.engine, snapshot, customer_id, now, doing)
        degraded = ("database",) if known.away else degraded
    for block in blocks:
        asked = replace(block, exclude=block.exclude + shown)
        if view is None or known is None:
            reply, degraded = without_model(shop, snapshot, now, asked.ask(customer_id))
        else:
            reply = lists.composed(view, known, customer_id, asked)
        metrics.LISTS.labels(reply["source"], reply["fallback"] or "none").inc()
        made.append(reply)
        shown += tuple(one["item_id"] for one in reply["items"]) if distinct else ()
    whole = {
        "customer_id": customer_id, "model_version": snapshot.model.version if snapshot.model else None,
        "generated_at": replies.moment(now), "blocks": made,
    }  # fmt: skip
    return Answer(replies.encode(whole), "miss", degraded, made[0]["source"])
