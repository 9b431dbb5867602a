"""Lists that are the same for everybody: bestsellers, what is trending, what is new."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import Reason, Source
from recsvc.engine import popular
from recsvc.engine.history import DAY
from recsvc.engine.lists import Listed
from recsvc.engine.model import Model
from recsvc.engine.popular import Window
from recsvc.flows import questions, replies, texts
from recsvc.flows.answers import Ask, View, answer, may_show
from recsvc.flows.replies import Answer
from recsvc.flows.shop import Shop
from recsvc.store.database import MICROSECONDS


@dataclass(frozen=True, slots=True)
class Asked:
    """window_days: how far back from now. categories: items of any of them; of all when empty."""

    window_days: int
    limit: int
    categories: tuple[str, ...] = ()


def bestsellers(shop: Shop, asked: Asked) -> Answer:
    """Return what sold most, net of returns."""
    return _window(shop, "bestsellers", popular.bestsellers, asked, texts.BESTSELLER_IN)


def trending(shop: Shop, asked: Asked) -> Answer:
    """Return what sells more than it did."""
    return _window(shop, "trending", popular.trending, asked, texts.RISING_IN)


def new(shop: Shop, asked: Asked) -> Answer:
    """Return items created in the window, newest first; items without sales too."""

    snapshot, now = shop.current.snapshot, shop.clock()
    start, wanted = (now - asked.window_days * DAY) * MICROSECONDS, set(asked.categories)
    items: list[dict[str, Any]] = []
    for one in snapshot.catalogue.newest:
        if one.created_at < start or len(items) == asked.limit:
            break
        age = now - one.created_at / MICROSECONDS
        if age < 0 or one.sensitive or not may_show(one, now) or _banned(snapshot.model, one.item_id):
            continue
        if not wanted or wanted.intersection(one.categories):
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


def _window(shop: Shop, name: str, find: Callable[..., Listed], asked: Asked, text: str) -> Answer:
    wanted, model = questions.either(None, asked.categories), shop.current.snapshot.model

    def make(view: View) -> tuple[dict[str, Any], None]:
        sales, window = view.shop.current.lately.of(view.model), Window(view.now, asked.window_days)
        listed = find(sales, view.shelf, questions.among(view, wanted), window, asked.limit)
        items = replies.items_of(view.snapshot, listed, text=text)
        return replies.envelope(view.snapshot, view.now, name, None, Source.FALLBACK, name, items), None

    # What was counted anew is another question, so that no cached list is older than the counts.
    counted = shop.current.lately.revision(model) if model is not None else 0
    ask = Ask(name, None, asked.limit, window_days=asked.window_days, wanted=wanted, asked=counted)
    return answer(shop, ask, make)


def among(view: View, category: str | None) -> Array:
    """Return (n,) bool: the items of a category; all of them for None."""
    if category is None:
        return np.ones(view.model.n_items, bool)
    chosen = np.zeros(view.model.n_items, bool)
    chosen[view.snapshot.categories.get(category, np.empty(0, np.int32))] = True
    return chosen
