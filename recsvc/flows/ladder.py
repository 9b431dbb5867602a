"""The cold ladder: what somebody sees of whom nothing is known that they like.

From rung to rung it says less of them: the categories they named, their segment, what is trending in what they ask for
or look at, the bestsellers. A rung that has too little is filled up from the next; the list is named after the first
that gave anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import sqlalchemy as sa

from recsvc.artifact import Array
from recsvc.engine import popular
from recsvc.engine.eligibility import Shelf
from recsvc.engine.lists import Listed
from recsvc.engine.popular import Window
from recsvc.flows.answers import View
from recsvc.flows.stamps import not_profiled
from recsvc.store import customers as customers_store

_DAYS, _YEAR = 28, 365


@dataclass(frozen=True, slots=True)
class Foot:
    """Where somebody stands. customer_id: None for a session without a name. among: (n,) bool, the items asked for,
    None for all. without: (x,) item rows to leave out. looked_at: ids of what they look at just now that the model does
    not know."""

    customer_id: str | None
    among: Array | None
    without: Array
    looked_at: tuple[str, ...] = ()


def climb(view: View, foot: Foot, limit: int) -> tuple[Listed, str]:
    """Return the first `limit` items from rung to rung, and the name of the first rung that gave any. Never fails:
    without the database there are no preferences and no segment."""
    is_open = view.shelf.open.copy() if foot.among is None else view.shelf.open & foot.among
    is_open[foot.without] = False
    shelf = replace(view.shelf, open=is_open)
    listed: Listed | None = None
    name = "bestsellers"
    for rung, found in _rungs(view, foot, shelf, limit):
        if not len(found.rows):
            continue
        name, listed = (rung, found) if listed is None else (name, listed.then(found))
        if len(listed.rows) >= limit:
            break
    if listed is None:
        listed = _bestsellers(view, shelf, None, _DAYS, limit)
    return listed.take(np.arange(min(limit, len(listed.rows)))), name


def _rungs(view: View, foot: Foot, shelf: Shelf, limit: int) -> Iterator[tuple[str, Listed]]:
    segment, preferences = _declared(view, foot.customer_id)
    categories = [view.snapshot.categories[one] for one in preferences if one in view.snapshot.categories]
    if categories:
        yield "preferences", _of_categories(view, shelf, categories, limit)
    if segment in view.model.segments:
        row = view.model.segments[segment]
        yield "segment", popular.segment(view.model, row, shelf, np.empty(0, np.int64), limit)
    here = _here(view, foot)
    if here is not None:
        sales = view.shop.current.lately.of(view.model)
        yield "trending", popular.trending(sales, shelf, here, Window(view.now, _DAYS), limit)
    yield "bestsellers", _bestsellers(view, shelf, None, _DAYS, limit)
    yield "bestsellers", _bestsellers(view, shelf, None, _YEAR, limit)


def _declared(view: View, customer_id: str | None) -> tuple[str | None, list[str]]:
    if customer_id is None or view.snapshot.state.copied or not_profiled(view.snapshot, customer_id):
        return None, []
    try:
        return customers_store.declared(view.shop.engine, customer_id)
    except sa.exc.SQLAlchemyError:
        return None, []


def _of_categories(view: View, shelf: Shelf, categories: list[Array], limit: int) -> Listed:
    """Return what sells and what is trending in some categories, in turns."""
    sales, window = view.shop.current.lately.of(view.model), Window(view.now, _DAYS)
    parts = []
    for rows in categories:
        among = np.zeros(view.model.n_items, bool)
        among[rows] = True
        parts.append(popular.bestsellers(sales, shelf, among, window, limit))
        parts.append(popular.trending(sales, shelf, among, window, limit))
    return popular.interleaved(parts, limit)


def _here(view: View, foot: Foot) -> Array | None:
    """Return (n,) bool, the items of what is asked for, else of the narrowest categories looked at, else None."""
    if foot.among is not None:
        return foot.among
    here = np.zeros(view.model.n_items, bool)
    for item_id in foot.looked_at:
        item = view.snapshot.catalogue.items.get(item_id)
        narrowest = item.categories[-1:] if item is not None else []
        for rows in [view.snapshot.categories[one] for one in narrowest if one in view.snapshot.categories]:
            here[rows] = True
    return here if here.any() else None


def _bestsellers(view: View, shelf: Shelf, among: Array | None, days: int, limit: int) -> Listed:
    sales = view.shop.current.lately.of(view.model)
    return popular.bestsellers(sales, shelf, among, Window(view.now, days), limit)
