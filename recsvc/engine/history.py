"""What one customer did, one entry per item: the evidence every generator and reason starts from.

Training builds it for all customers at once and the service for one customer at a time, through the same
`collect`, so that an interaction counts alike whether it came in last night or a second ago.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from recsvc.artifact import Array

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Decay:
    """How evidence ages. `as_of` is the newest moment training saw; an age is never below zero. visit_decay: what a
    visit counts for, as a part of the visit after it."""

    as_of: float
    taste_half_life_days: float
    repeat_half_life_days: float
    visit_decay: float


@dataclass(frozen=True, slots=True)
class Events:
    """Interactions as parallel arrays, in any order.

    item_rows: (e,) int32, >= 0. weights: (e,) float32, signed, before ageing. at: (e,) int64 epoch seconds.
    purchases: (e,) bool, those that were not cancelled. rejections: (e,) bool, what `concepts.rejects`. orders: (e,)
    int64, equal for the lines of one order; lines of one order with the same item count once. returns: (e,) bool, what
    `concepts.gives_back`.
    """

    item_rows: Array
    weights: Array
    at: Array
    purchases: Array
    rejections: Array
    orders: Array
    returns: Array


@dataclass(frozen=True, slots=True)
class History:
    """One customer's evidence, one entry per item, item rows ascending.

    item_rows: (m,) int32. weights: (m,) float32, the aged signed sum: how much they like it.
    repeats: (m,) float32, the aged count of orders: how likely they buy it again.
    orders: (m,) int32. first_at, last_at: (m,) int64 epoch seconds of purchases, 0 where none.
    rejected_at: (m,) int64 epoch seconds of the last dislike or return for taste, 0 where none.
    first_visit, last_visit: (m,) int32, the customer's how-manieth visit, from 0, first and last bought it; −1 where
    none. A visit is one moment of buying: dates without a time make the orders of a day one visit, in whatever order
    they came. recent: (m,) float32, Σ over the visits that bought it of visit_decay ** (visits since).
    bought_visits: (m,) int32, how many those are. returned_at: (m,) int64 epoch seconds of the last return or refund,
    for whatever reason, 0 where none.
    extra: (g,) float32, what the shop's own columns say of the customer, NaN for nothing; empty of who has no row.
    """

    item_rows: Array
    weights: Array
    repeats: Array
    orders: Array
    first_at: Array
    last_at: Array
    rejected_at: Array
    first_visit: Array
    last_visit: Array
    recent: Array
    bought_visits: Array
    returned_at: Array
    extra: Array = field(default_factory=lambda: np.empty(0, np.float32))

    @property
    def visits(self) -> int:
        """How many visits there were: the newest one bought something."""
        return int(self.last_visit.max(initial=-1)) + 1

    @property
    def unwanted(self) -> Array:
        """(m,) bool: turned down and not bought since, or against it on balance."""
        return ((self.rejected_at > 0) & (self.rejected_at >= self.last_at)) | (self.weights < 0)

    @property
    def liked(self) -> Array:
        """(m,) bool: for it on balance, and not turned down."""
        return (self.weights > 0) & ~self.unwanted

    @property
    def sent_back(self) -> Array:
        """(m,) bool: returned or refunded, and not bought since."""
        return (self.returned_at > 0) & (self.returned_at >= self.last_at)

    def __len__(self) -> int:
        return len(self.item_rows)


# The fields that have one entry per item.
ENTRIES = tuple(name for name in History.__slots__ if name != "extra")
EMPTY = History(
    np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.float32),
    np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64),
    np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.int32),
    np.empty(0, np.int64),
)  # fmt: skip


def collect(groups: Array, events: Events, decay: Decay) -> tuple[Array, History]:
    """Return the evidence of many customers: one entry per (group, item), sorted by both.

    Args:
        groups: (e,) integer, the customer of each event.
        events: the interactions.
        decay: how they age.

    Returns:
        (groups (m,) of the entries, their History).
    """
    keep = _one_line_per_order(groups, events)
    rows, at, bought = events.item_rows[keep], events.at[keep], events.purchases[keep]
    key = groups[keep].astype(np.int64) << 32 | rows.astype(np.int64)
    unique, inverse = np.unique(key, return_inverse=True)
    m = len(unique)
    ages = np.maximum(decay.as_of - at, 0.0) / DAY
    rejected = np.zeros(m, np.int64)
    no = events.rejections[keep]
    np.maximum.at(rejected, inverse[no], at[no])
    returned = np.zeros(m, np.int64)
    back = events.returns[keep]
    np.maximum.at(returned, inverse[back], at[back])
    counts = at >= rejected[inverse]  # a rejection speaks for the item from then on
    liked = counts * events.weights[keep] * np.exp2(-ages / decay.taste_half_life_days)
    again = bought * np.exp2(-ages / decay.repeat_half_life_days)
    last = np.zeros(m, np.int64)
    np.maximum.at(last, inverse[bought], at[bought])
    first = np.full(m, np.iinfo(np.int64).max)
    np.minimum.at(first, inverse[bought], at[bought])
    visits, since = visits_of(groups[keep][bought], at[bought])
    last_visit = np.full(m, -1, np.int32)
    np.maximum.at(last_visit, inverse[bought], visits)
    first_visit = np.full(m, np.iinfo(np.int32).max, np.int32)
    np.minimum.at(first_visit, inverse[bought], visits)
    # Several orders of an item within one visit are one visit that bought it.
    once = _first_of_each(inverse[bought], visits)
    history = History(
        item_rows=(unique & 0xFFFFFFFF).astype(np.int32),
        weights=np.bincount(inverse, liked, m).astype(np.float32),
        repeats=np.bincount(inverse, again, m).astype(np.float32),
        orders=np.bincount(inverse, bought, m).astype(np.int32),
        first_at=np.where(last > 0, first, 0),
        last_at=last,
        rejected_at=rejected,
        first_visit=np.where(last_visit >= 0, first_visit, -1).astype(np.int32),
        last_visit=last_visit,
        recent=np.bincount(inverse[bought][once], decay.visit_decay ** since[once], m).astype(np.float32),
        bought_visits=np.bincount(inverse[bought][once], minlength=m).astype(np.int32),
        returned_at=returned,
    )
    return unique >> 32, history


def _first_of_each(entries: Array, visits: Array) -> Array:
    _, first = np.unique(entries.astype(np.int64) << 32 | visits.astype(np.int64), return_index=True)
    return np.asarray(first)


def merge(known: History, events: Events, decay: Decay) -> History:
    """Return `known` with newer events added, as if training had seen them."""
    if not len(events.item_rows):
        return known
    # What the history rejected later than this happened counts for nothing, however late it arrives.
    late = events.at < _rejected_at(known, events.item_rows)
    events = replace(events, weights=np.where(late, np.float32(0.0), events.weights))
    _, fresh = collect(np.zeros(len(events.item_rows), np.int32), events, decay)
    if not len(known):
        return replace(fresh, extra=known.extra)
    rows = np.union1d(known.item_rows, fresh.item_rows).astype(np.int32)
    parts = [(np.searchsorted(rows, one.item_rows), one) for one in (known, fresh)]

    def total(name: str, dtype: type) -> Array:
        out: Array = np.zeros(len(rows), dtype)
        for where, one in parts:
            out[where] += getattr(one, name)
        return out

    first, last, rejected, returned = _dates(parts, len(rows))
    weights = total("weights", np.float32)
    # A rejection newer than every purchase known before it ends what those said.
    at = parts[1][0]
    before = np.zeros(len(rows), np.int64)
    before[parts[0][0]] = known.last_at
    ended = fresh.rejected_at > before[at]
    weights[at[ended]] = fresh.weights[ended]
    first_visit, last_visit, recent = _visited(parts, len(rows), decay.visit_decay)
    return History(
        item_rows=rows,
        weights=weights,
        repeats=total("repeats", np.float32),
        orders=total("orders", np.int32),
        first_at=np.where(last > 0, first, 0),
        last_at=last,
        rejected_at=rejected,
        first_visit=first_visit,
        last_visit=last_visit,
        recent=recent,
        bought_visits=total("bought_visits", np.int32),
        returned_at=returned,
        extra=known.extra,
    )


def _dates(parts: list[tuple[Array, History]], m: int) -> tuple[Array, Array, Array, Array]:
    """Return first_at (the greatest integer where never), last_at, rejected_at and returned_at of m entries, of
    histories whose places among them are given."""
    first = np.full(m, np.iinfo(np.int64).max)
    last, rejected, returned = (np.zeros(m, np.int64) for _ in range(3))
    for where, one in parts:
        seen = one.last_at > 0
        first[where[seen]] = np.minimum(first[where[seen]], one.first_at[seen])
        last[where] = np.maximum(last[where], one.last_at)
        rejected[where] = np.maximum(rejected[where], one.rejected_at)
        returned[where] = np.maximum(returned[where], one.returned_at)
    return first, last, rejected, returned


def visits_of(groups: Array, at: Array) -> tuple[Array, Array]:
    """Return the how-manieth visit of its group each purchase was in, and how many visits came after it."""
    order = np.lexsort((at, groups))
    g, t = groups[order], at[order]
    new = np.ones(len(order), bool)
    new[1:] = (g[1:] != g[:-1]) | (t[1:] != t[:-1])
    number = np.cumsum(new) - 1
    starts = np.searchsorted(g, g, side="left")
    ends = np.searchsorted(g, g, side="right") - 1
    nth = np.empty(len(order), np.int32)
    since = np.empty(len(order), np.int32)
    if len(order):
        nth[order], since[order] = number - number[starts], number[ends] - number
    return nth, since


def _visited(parts: list[tuple[Array, History]], m: int, visit_decay: float) -> tuple[Array, Array, Array]:
    """Return first_visit, last_visit and recent of m entries, of the known and the fresh history with their places.

    What comes late counts as the newest visit until the next training run: a history does not keep every moment.
    """
    (old, known), (new, fresh) = parts
    first, last, recent = np.full(m, -1, np.int32), np.full(m, -1, np.int32), np.zeros(m, np.float32)
    bought = fresh.last_visit >= 0
    first[new[bought]] = known.visits + fresh.first_visit[bought]
    before = known.last_visit >= 0
    first[old[before]] = known.first_visit[before]
    last[old] = known.last_visit
    last[new[bought]] = known.visits + fresh.last_visit[bought]
    recent[old] = known.recent * visit_decay**fresh.visits
    recent[new] += fresh.recent
    return first, last, recent


def _rejected_at(history: History, rows: Array) -> Array:
    """Return (e,) int64: when the history rejected each of `rows`, 0 for never."""
    if not len(history):
        return np.zeros(len(rows), np.int64)
    at = np.minimum(np.searchsorted(history.item_rows, rows), len(history) - 1)
    return np.where(history.item_rows[at] == rows, history.rejected_at[at], 0)


def _one_line_per_order(groups: Array, events: Events) -> Array:
    """Return the indices to keep: of equal (customer, item, order) purchases the first, and all that is no purchase."""
    order = np.lexsort((events.orders, events.item_rows, groups, events.purchases))
    same = np.zeros(len(order), bool)
    if len(order) > 1:
        a, b = order[1:], order[:-1]
        same[1:] = (
            events.purchases[a] & events.purchases[b] & (groups[a] == groups[b])
            & (events.item_rows[a] == events.item_rows[b]) & (events.orders[a] == events.orders[b])
        )  # fmt: skip
    return np.sort(order[~same])
