"""A customer's own list: recommendations for a placement."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import sqlalchemy as sa

from recsvc.artifact import Array
from recsvc.concepts import Source
from recsvc.engine import lists
from recsvc.engine.lists import Listed
from recsvc.flows import customers, replies
from recsvc.flows.answers import Ask, View, answer
from recsvc.flows.customers import Known
from recsvc.flows.replies import Answer
from recsvc.flows.shop import Shop
from recsvc.store import customers as customers_store

_BESTSELLER_DAYS = 28


def recommendations(shop: Shop, customer_id: str, placement: str, limit: int, exclude: tuple[str, ...]) -> Answer:
    """Return the personal list of a customer for a placement, without the items of `exclude`.

    An entry of `exclude` that is no item's id is read as several, separated by commas.
    """
    left_out = _split(shop, exclude)

    def make(view: View) -> tuple[dict[str, Any], Known]:
        known = customers.look_up(shop.engine, view.snapshot, customer_id, view.now)
        without = np.array([view.model.rows[one] for one in left_out if one in view.model.rows], np.int64)
        listed, source, fallback = _choose(view, known, customer_id, without, limit)
        items = replies.items_of(view.snapshot, listed, known.history)
        return replies.envelope(view.snapshot, view.now, placement, customer_id, source, fallback, items), known

    return answer(shop, Ask(placement, customer_id, limit, exclude=left_out), make)


def _split(shop: Shop, exclude: tuple[str, ...]) -> tuple[str, ...]:
    known = shop.current.snapshot.catalogue.items
    found: list[str] = []
    for entry in exclude:
        found += [entry] if entry in known else entry.split(",")
    return tuple(found)


def _choose(
    view: View, known: Known, customer_id: str, without: Array, limit: int
) -> tuple[Listed, Source, str | None]:
    """Return the list, how it was made, and the rung when it is not from this customer's own history."""
    without = np.concatenate([without, known.settled])
    if known.row >= 0 and not known.fresh:
        listed = lists.visible(lists.finished(view.model, known.row), view.shelf.public, without, limit)
        if len(listed.rows) == limit:
            return listed, Source.PERSONAL, None
    if known.history.liked.any():
        listed = lists.personal(view.model, known.history, view.shelf, without, limit, known.session, view.now)
        return listed, Source.LIVE if known.fresh else Source.PERSONAL, None
    # What they turned down is all we know of them; it is kept away from them on the way down the ladder too.
    without = np.concatenate([without, known.history.item_rows[known.history.unwanted]])
    return _ladder(view, customer_id, without, limit)


def _ladder(view: View, customer_id: str, without: Array, limit: int) -> tuple[Listed, Source, str]:
    """Return the list of somebody without a history: their segment's, or the bestsellers."""
    segment = None
    if not view.snapshot.state.copied:
        with suppress(sa.exc.SQLAlchemyError):  # the bestsellers need no database
            segment = customers_store.segment(view.shop.engine, customer_id)
    if segment in view.model.segments:
        listed = lists.segment(view.model, view.model.segments[segment], view.shelf, without, limit)
        if len(listed.rows) == limit:
            return listed, Source.FALLBACK, "segment"
    among = np.ones(view.model.n_items, bool)
    among[without] = False
    return (
        lists.bestsellers(view.model, view.shelf, among, view.now, _BESTSELLER_DAYS, limit),
        Source.FALLBACK,
        "bestsellers",
    )
