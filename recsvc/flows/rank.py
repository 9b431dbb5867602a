"""Ranking: the items a caller found, as those of a search, in the order of one customer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recsvc import metrics
from recsvc.concepts import Source
from recsvc.engine import lists
from recsvc.flows import customers, early, newcomers, replies
from recsvc.flows.answers import at_hand, may_show
from recsvc.flows.current import Snapshot
from recsvc.flows.customers import Known
from recsvc.flows.replies import Answer
from recsvc.flows.shop import Shop

_ITEM = dict[str, Any]


def rank(shop: Shop, customer_id: str, items: Sequence[str], limit: int) -> Answer:
    """Return the items that may be shown in the order of a customer, and which were not ranked and why.

    An item given twice counts once. Equal scores keep the caller's order. What the model does not know, as an item
    written since, has the mean score of the others of its narrowest category, 0 where there are none. What a customer
    turned down stands last. For somebody without a history the order is that of what sells; without a model it is the
    caller's. A sensitive item is ranked: the caller, not we, brought it up.
    """
    snapshot, now = at_hand(shop)
    given = list(dict.fromkeys(items))
    alone = early.items(snapshot, customer_id, now)
    refused = {one: code for one in given if one not in alone and (code := _refusal(snapshot, one, now))}
    open_now = [one for one in given if one not in refused]
    degraded, known = snapshot.lacks, None
    if snapshot.model is not None:
        known = customers.look_up(shop.engine, snapshot, customer_id, now)
        degraded = ("database",) if known.away else degraded
    source = Source.FALLBACK if known is None or not known.history.liked.any() else Source.PERSONAL
    if source is Source.PERSONAL and known is not None and known.fresh:
        source = Source.LIVE
    fallback = "bestsellers" if source is Source.FALLBACK else None
    ordered = _ordered(snapshot, known, open_now)[:limit]
    listed: list[_ITEM] = [
        {"item_id": item_id, "slot": slot, "score": score, "propensity": 1.0}
        for slot, (item_id, score) in enumerate(ordered, 1)
    ]
    reply = replies.envelope(snapshot, now, "rank", customer_id, source, fallback, listed)
    reply["not_ranked"] = [{"item_id": one, "code": code} for one, code in refused.items()]
    metrics.LISTS.labels(reply["source"], reply["fallback"] or "none").inc()
    return Answer(replies.encode(reply), "miss", degraded, source.value)


def _ordered(snapshot: Snapshot, known: Known | None, items: list[str]) -> list[tuple[str, float]]:
    """Return items with their scores, best first."""
    model = snapshot.model
    if model is None or known is None:
        return [(one, 0.0) for one in items]
    found = [one for one in items if one in model.rows]
    rows = np.array([model.rows[one] for one in found], np.int64)
    scores = lists.scored(model, known.history, rows)
    unwanted = np.isin(rows, known.history.item_rows[known.history.unwanted])
    scores = np.where(unwanted, np.minimum(scores, 0.0), scores)
    order = np.argsort(-scores, kind="stable")
    ranked = [(found[at], round(float(scores[at]), 6)) for at in order.tolist()]
    fresh = [one for one in items if one not in model.rows]
    if fresh:
        catalogue, known_scores = snapshot.catalogue.items, dict(ranked)
        ranked += [(one, round(newcomers.near(catalogue, known_scores, catalogue[one]), 6)) for one in fresh]
        ranked.sort(key=lambda one: -one[1])
    return ranked


def _refusal(snapshot: Snapshot, item_id: str, now: float) -> str | None:
    """Return why an item is not ranked, None where it is."""
    item = snapshot.catalogue.items.get(item_id)
    if item is None:
        return "unknown"
    if not may_show(item, now):
        return "unavailable"
    row = snapshot.model.rows.get(item_id) if snapshot.model is not None else None
    if row is not None and snapshot.shelf is not None and not snapshot.shelf.open[row]:
        return "bad_outcomes"  # all that is left of what closes an item
    return None
