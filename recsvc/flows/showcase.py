"""The showcase: customers worth looking at, and what a page says of one. Read by the demo page and the command line.

Worth looking at is somebody who bought lately, buys a lot, and buys something far more than others do; three of
different segments and tastes. Computed from the model, the same three for one model and catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import sqlalchemy as sa

from recsvc.artifact import Array
from recsvc.engine.history import DAY
from recsvc.engine.model import Model, customer_row, hash_customer
from recsvc.flows import replies
from recsvc.flows.current import Snapshot
from recsvc.flows.shop import Shop
from recsvc.store import customers as customers_store
from recsvc.store import interactions
from recsvc.store.database import MICROSECONDS

_SHOWN = 3
_RECENT_DAYS = 21
# The first by id are looked at, then the busiest of them: bounded, however many customers a shop has.
_LOOKED_AT, _BUSIEST = 5000, 200
# No customer of the demo has 5,000 lines; a page does not need more to say what somebody bought lately.
_LINES = 5000
_DOING = {
    "view": "looked at", "click": "clicked on", "wishlist": "wished for", "add_to_cart": "put into the cart",
    "remove_from_cart": "took out of the cart", "dislike": "turned down", "return": "returned", "refund": "returned",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Showcase:
    """A customer worth looking at. description: one line, as "families with kids, 214 orders, often buys yogurt"."""

    customer_id: str
    description: str


@dataclass(frozen=True, slots=True)
class Order:
    """What was bought together. titles: the first few, the dearest first; lines: how many different items in all."""

    day: str
    titles: list[str]
    lines: int


@dataclass(frozen=True, slots=True)
class Portrait:
    """What a page says of a customer. known: the store has a row or an interaction of them. orders: newest first.
    doing: (what, title) of the newest interactions that are no purchases, newest first. away: the store could not
    be asked."""

    customer_id: str
    known: bool
    segment: str | None
    n_orders: int
    orders: list[Order]
    doing: list[tuple[str, str]]
    away: bool = False


@dataclass(frozen=True, slots=True)
class _Taste:
    """One candidate. strength: how far their favourite category stands out. favourites: the best two names."""

    customer_id: str
    strength: float
    favourites: tuple[str, ...]


_known: dict[tuple[str, str, int], list[Showcase]] = {}


def customers(shop: Shop) -> list[Showcase]:
    """Return up to three customers worth looking at; none before a model was trained or without the store.

    Cached for one model and catalogue of one database.
    """
    snapshot = shop.current.snapshot
    if snapshot.model is None:
        return []
    key = (snapshot.state.facts.database_id, snapshot.version, snapshot.catalogue.change)
    found = _known.get(key)
    if found is None:
        try:
            found = _find(shop, snapshot, snapshot.model)
        except sa.exc.SQLAlchemyError:
            return []
        _known.clear()  # an older model's are not asked for again
        _known[key] = found
    return found


def search(shop: Shop, text: str, limit: int) -> list[str]:
    """Return ids of customers that begin with `text`; none when the store is away."""
    try:
        return customers_store.search(shop.engine, text, limit)
    except sa.exc.SQLAlchemyError:
        return []


def portrait(shop: Shop, customer_id: str, n_orders: int = 3, n_titles: int = 5) -> Portrait:
    """Return what a page says of a customer: segment, latest orders, what they are doing.

    Sensitive items are counted and not named: somebody may be looking over the shoulder.
    """
    snapshot = shop.current.snapshot
    try:
        segment = customers_store.segment(shop.engine, customer_id)
        rows = interactions.history(shop.engine, customer_id, _LINES)
    except sa.exc.SQLAlchemyError:
        return Portrait(customer_id, False, None, 0, [], [], away=True)
    bought = [row for row in rows if row.kind == "purchase"]
    groups = [list(lines) for _, lines in groupby(bought, key=_order_of)]
    return Portrait(
        customer_id, bool(rows) or segment is not None, segment, len(groups),
        [_order(snapshot, lines, n_titles) for lines in groups[:n_orders]], _doing(snapshot, rows, n_titles),
    )  # fmt: skip


def _order_of(row: Any) -> tuple[str, Any]:
    """Return what lines of one order have in common. Lines without an order belong to their day."""
    return ("order", row.order_id) if row.order_id is not None else ("day", row.occurred_at // (86400 * MICROSECONDS))


def _order(snapshot: Snapshot, lines: list[Any], n_titles: int) -> Order:
    dearest = sorted(lines, key=lambda row: (-(row.value_cents or 0), row.item_id))
    titles = list(dict.fromkeys(title for row in dearest if (title := _title(snapshot, row.item_id)) is not None))
    day = replies.moment(lines[0].occurred_at / MICROSECONDS)[:10]
    return Order(day, titles[:n_titles], len({row.item_id for row in lines}))


def _doing(snapshot: Snapshot, rows: list[Any], most: int) -> list[tuple[str, str]]:
    """Return the newest of what is no purchase, one entry per item: the latest word on it."""
    latest: dict[str, tuple[str, str]] = {}
    for row in rows:
        title = _title(snapshot, row.item_id)
        if row.kind in _DOING and title is not None:
            latest.setdefault(row.item_id, (_DOING[row.kind], title))
    return list(latest.values())[:most]


def _title(snapshot: Snapshot, item_id: str) -> str | None:
    """Return the name of an item, None for one that is not named where others look."""
    item = snapshot.catalogue.items.get(item_id)
    return None if item is not None and item.sensitive else replies.fields(snapshot, item_id)["title"]


def _find(shop: Shop, snapshot: Snapshot, model: Model) -> list[Showcase]:
    ids = customers_store.search(shop.engine, "", _LOOKED_AT)
    secret = snapshot.state.facts.customer_secret
    rows = np.array([customer_row(model, hash_customer(one, secret)) for one in ids], np.int64)
    keep = np.flatnonzero(rows >= 0)
    if not len(keep):
        return []
    lines, last = _activity(model)
    recent = keep[last[rows[keep]] > model.decay.as_of - _RECENT_DAYS * DAY]
    busiest = recent[np.argsort(-lines[rows[recent]], kind="stable")][:_BUSIEST]
    tastes = _tastes(snapshot, model, [ids[at] for at in busiest], rows[busiest])
    found = []
    for one in _different(shop, tastes):
        seen = portrait(shop, one.customer_id)
        words = [seen.segment, f"{seen.n_orders:,} order{'s' * (seen.n_orders != 1)}"]
        words += [f"often buys {' and '.join(_lower(name) for name in one.favourites)}"]
        found.append(Showcase(one.customer_id, ", ".join(word for word in words if word)))
    return found


def _activity(model: Model) -> tuple[Array, Array]:
    """Return for each customer row (c,): order lines, and epoch seconds of the last purchase."""
    offsets = model.a["own_offsets"]
    total = np.concatenate([[0], np.cumsum(model.a["own_orders"], dtype=np.int64)])
    lines = total[offsets[1:]] - total[offsets[:-1]]
    last = np.zeros(len(lines), np.int64)
    some = np.flatnonzero(np.diff(offsets))
    if len(some):
        last[some] = np.maximum.reduceat(model.a["own_last_at"], offsets[some])
    return lines, last


def _tastes(snapshot: Snapshot, model: Model, ids: list[str], rows: Array) -> list[_Taste]:
    """Return how far the favourite category of each customer stands out, strongest first.

    A category counts share × ln(share / share of everybody), its part of the relative entropy between what the
    customer buys and what everybody buys: large for what is both much and unusual.
    """
    names, code = _shelves(snapshot, model)
    own, offsets = model.a["own_item_rows"], model.a["own_offsets"]
    everybody = np.bincount(code[own], model.a["own_orders"], len(names) + 1)[:-1] + 1.0
    everybody /= everybody.sum()
    found = []
    for customer_id, row in zip(ids, rows.tolist(), strict=True):
        part = slice(int(offsets[row]), int(offsets[row + 1]))
        counts = np.bincount(code[own[part]], model.a["own_orders"][part], len(names) + 1)[:-1]
        share = counts / max(counts.sum(), 1.0)
        apart = share * np.log(np.maximum(share, 1e-12) / everybody)
        best = np.argsort(-apart, kind="stable")[:2]
        favourites = tuple(names[at] for at in best.tolist() if apart[at] > 0)
        if favourites:
            found.append(_Taste(customer_id, float(apart[best[0]]), favourites))
    return sorted(found, key=lambda one: (-one.strength, one.customer_id))


def _shelves(snapshot: Snapshot, model: Model) -> tuple[list[str], Array]:
    """Return the names of the categories, and (n,) the position of each item's; the last place for sensitive items
    and those without a category, which describe nobody."""
    place: dict[str, int] = {}
    code = np.full(model.n_items, -1, np.int64)
    for row, item_id in enumerate(model.item_ids):
        item = snapshot.catalogue.items.get(item_id)
        if item is not None and item.categories and not item.sensitive:
            code[row] = place.setdefault(replies.shelf_name(item.categories), len(place))
    code[code < 0] = len(place)
    return list(place), code


def _different(shop: Shop, tastes: list[_Taste]) -> list[_Taste]:
    """Return the strongest tastes of different segments and favourites; of one segment when there is only that."""
    chosen: list[_Taste] = []
    taken: set[str | None] = set()
    segments = {one.customer_id: customers_store.segment(shop.engine, one.customer_id) for one in tastes}
    for fresh_segment in (True, False):
        for one in tastes:
            segment = segments[one.customer_id]
            liked = {name for other in chosen for name in other.favourites}
            if len(chosen) == _SHOWN or (fresh_segment and (segment is None or segment in taken)):
                continue
            if one not in chosen and not liked.intersection(one.favourites):
                chosen.append(one)
                taken.add(segment)
    return chosen


def _lower(name: str) -> str:
    """Return a category as within a sentence; names that go on in capitals, as `DVD`, stay."""
    return name if name[1:2].isupper() else name[:1].lower() + name[1:]
