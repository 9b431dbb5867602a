"""Lists around an item: similar ones, and those bought together with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from recsvc.concepts import Source
from recsvc.engine import lists
from recsvc.engine.lists import Listed
from recsvc.errors import NotFound
from recsvc.flows import customers, replies
from recsvc.flows.answers import Ask, View, answer
from recsvc.flows.customers import Known
from recsvc.flows.popular import among
from recsvc.flows.replies import Answer
from recsvc.flows.shop import Shop
from recsvc.intake import shorten

_POPULAR_DAYS = 90


def similar(shop: Shop, item_id: str, customer_id: str | None, limit: int) -> Answer:
    """Return items whose buyers are most like this item's buyers."""
    return _related(shop, "similar", lists.similar, item_id, customer_id, limit, "Customers of {title} also buy this")


def bought_together(shop: Shop, item_id: str, customer_id: str | None, limit: int) -> Answer:
    """Return items found in the same order."""
    return _related(shop, "bought_together", lists.bought_together, item_id, customer_id, limit, None)


def _related(
    shop: Shop,
    name: str,
    find: Callable[..., Listed],
    item_id: str,
    customer_id: str | None,
    limit: int,
    text: str | None,
) -> Answer:
    snapshot = shop.current.snapshot
    if item_id not in snapshot.catalogue.items and not (snapshot.model and item_id in snapshot.model.rows):
        raise NotFound(f"item_id: {shorten(item_id)} is not in the catalogue", {"item_id": "not in the catalogue"})

    def make(view: View) -> tuple[dict[str, Any], Known | None]:
        known = (
            customers.look_up(shop.engine, view.snapshot, customer_id, view.now) if customer_id is not None else None
        )
        row = view.model.rows.get(item_id)
        if row is None:  # nobody bought it yet: what sells in its category is the honest answer
            category = (view.snapshot.catalogue.items[item_id].categories or [None])[-1]
            chosen = among(view, category)
            listed = lists.bestsellers(view.model, view.shelf, chosen, view.now, _POPULAR_DAYS, limit)
            items = replies.items_of(view.snapshot, listed, text="Popular in {category}")
            reply = replies.envelope(view.snapshot, view.now, name, customer_id, Source.FALLBACK, "bestsellers", items)
            return {**reply, "item_id": item_id}, known
        shelf = view.shelf
        if known is not None:  # what this customer turned down is not shown to them beside something else
            refused = known.history.item_rows[known.history.weights < 0]
            shelf = replace(shelf, open=shelf.open.copy())
            shelf.open[refused] = False
        items = replies.items_of(view.snapshot, find(view.model, row, shelf, limit), text=text)
        source = Source.PERSONAL if items else Source.FALLBACK
        reply = replies.envelope(view.snapshot, view.now, name, customer_id, source, None, items)
        return {**reply, "item_id": item_id}, known

    return answer(shop, Ask(f"{name}:{limit}:{item_id}", name, customer_id, limit), make)
