"""Early access: the items of an offer of that kind are open to those who hold it before they are to everybody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from recsvc.flows.answers import View
from recsvc.flows.current import Snapshot
from recsvc.intake import digest
from recsvc.store.database import MICROSECONDS

KIND = "early_access"


def items(snapshot: Snapshot, customer_id: str | None, now: float) -> frozenset[str]:
    """Return the ids of items that are open to a customer alone, before their time: active, in stock, not sensitive."""
    holders = snapshot.catalogue.holders
    if not holders or customer_id is None or snapshot.offered is None:
        return frozenset()
    found: set[str] = set()
    for offer_id in holders.get(digest(customer_id), ()):
        at = snapshot.offered.at.get(offer_id)
        if at is not None and snapshot.offered.terms[at].active and now < snapshot.offered.terms[at].ends_at:
            found |= _early(snapshot, snapshot.offered.rows[at], now)
    return frozenset(found)


def opened(view: View, early: Iterable[str]) -> View:
    """Return the view with the shelf open for some items; what too many gave back stays closed."""
    rows = np.array([view.model.rows[one] for one in early if one in view.model.rows], np.int64)
    rows = rows[view.model.a["karma"][rows] > 0]
    if not len(rows):
        return view
    open_ = view.shelf.open.copy()
    open_[rows] = True
    return replace(view, shelf=replace(view.shelf, open=open_))


def _early(snapshot: Snapshot, row: Any, now: float) -> set[str]:
    """Return the items of an offer that are closed by their date alone."""
    names = set(row.items)
    if row.categories and snapshot.traits is not None and snapshot.model is not None:
        for category in row.categories:
            rows = snapshot.traits.categories.get(category, ())
            names |= {snapshot.model.item_ids[one] for one in rows}
    micro, catalogue = now * MICROSECONDS, snapshot.catalogue.items
    return {
        one for one in names
        if (item := catalogue.get(one)) is not None and item.active and not item.sensitive
        and (item.stock is None or item.stock > 0) and item.available_from is not None and item.available_from > micro
        and (item.available_to is None or item.available_to > micro)
    }  # fmt: skip
