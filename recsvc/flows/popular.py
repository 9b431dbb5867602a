"""Lists that are the same for everybody: bestsellers, what is trending, what is new."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import Reason, Source
from recsvc.engine import lists
from recsvc.engine.history import DAY
from recsvc.engine.lists import Listed
from recsvc.engine.model import Model
from recsvc.flows import replies, texts
from recsvc.flows.answers import Ask, View, answer, may_show
from recsvc.flows.replies import Answer
from recsvc.flows.shop import Shop
from recsvc.store.database import MICROSECONDS


def bestsellers(shop: Shop, window_days: int, category: str | None, limit: int) -> Answer:
    """Return what sold most, net of returns."""
    return _window(shop, "bestsellers", lists.bestsellers, window_days, category, limit, texts.BESTSELLER_IN)


def trending(shop: Shop, window_days: int, category: str | None, limit: int) -> Answer:
    """Return what sells more than it did."""
    return _window(shop, "trending", lists.trending, window_days, category, limit, texts.RISING_IN)


def new(shop: Shop, window_days: int, category: str | None, limit: int) -> Answer:
    """Return items created in the window, newest first; items without sales too."""

    snapshot, now = shop.current.snapshot, shop.clock()
    start = (now - window_days * DAY) * MICROSECONDS
    items: list[dict[str, Any]] = []
    for one in snapshot.catalogue.newest:
        if one.created_at < start or len(items) == limit:
            break
        age = now - one.created_at / MICROSECONDS
        if age < 0 or one.sensitive or not may_show(one, now) or _banned(snapshot.model, one.item_id):
            continue
        if category is None or category in one.categories:
            text = texts.say(Reason.NEW_IN, category=replies.shelf_name(one.categories))
            reason = {"code": Reason.NEW_IN.value, "item_id": None, "share": 1.0, "text": text}
            items.append(replies.item(snapshot, one.item_id, 1.0 / (1.0 + age / DAY), "new", reason))
    # Not cached: it is a short walk through what is in memory, and needs neither a model nor the database.
    reply = replies.envelope(snapshot, now, "new", None, Source.FALLBACK, "new", items)
    return Answer(replies.encode(reply), "miss", snapshot.lacks, Source.FALLBACK.value)


def _banned(model: Model | None, item_id: str) -> bool:
    """Whether an item's karma is so bad that it is in no list."""
    row = model.rows.get(item_id) if model else None
    return model is not None and row is not None and not model.a["karma"][row]


def _window(
    shop: Shop, name: str, find: Callable[..., Listed], window_days: int, category: str | None, limit: int, text: str
) -> Answer:
    def make(view: View) -> tuple[dict[str, Any], None]:
        listed = find(view.model, view.shelf, among(view, category), view.now, window_days, limit)
        items = replies.items_of(view.snapshot, listed, text=text)
        return replies.envelope(view.snapshot, view.now, name, None, Source.FALLBACK, name, items), None

    return answer(shop, Ask(name, None, limit, category, window_days=window_days), make)


def among(view: View, category: str | None) -> Array:
    """Return (n,) bool: the items of a category; all of them for None."""
    if category is None:
        return np.ones(view.model.n_items, bool)
    chosen = np.zeros(view.model.n_items, bool)
    chosen[view.snapshot.categories.get(category, np.empty(0, np.int32))] = True
    return chosen
