"""The matrix: which customer likes which item, how sure we are, and how sales went by day."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from recsvc.artifact import Array
from recsvc.engine.candidates import confidence_of
from recsvc.engine.history import DAY, ENTRIES, Decay, History, collect
from training.config import VISIT_DECAY, Config
from training.extras import Extras
from training.sources import Log, of

_RATE_VISITS = 20.0


@dataclass(frozen=True, slots=True)
class Matrix:
    """A shop's evidence up to one moment, in model rows.

    customer_codes: (c,) code in the log of each customer row. item_codes: (n,) code of each item row.
    offsets: (c + 1,) int64 into `history`, whose entries are sorted by customer, then item.
    sale_rows, sale_days, sale_orders: orders net of returns per item and day, by day; one a customer.
    extras: the shop's own columns in these rows; None where there are none.
    """

    customer_codes: Array
    item_codes: Array
    decay: Decay
    offsets: Array
    history: History
    sale_rows: Array
    sale_days: Array
    sale_orders: Array
    extras: Extras | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(customers, items)."""
        return len(self.customer_codes), len(self.item_codes)

    def of(self, customer: int) -> History:
        """Return the history of one customer row."""
        start, end = self.offsets[customer], self.offsets[customer + 1]
        history = History(*(getattr(self.history, name)[start:end] for name in ENTRIES))
        return history if self.extras is None else replace(history, extra=self.extras.customers.values[customer])


def build(log: Log, config: Config, as_of: float | None = None) -> Matrix:
    """Return the matrix of a log in which a customer did something. Customers without an event get no
    row, nor do items but those that are new in the catalogue.

    Ages are counted back from `as_of` (epoch seconds), when it is not given from the newest event.

    What nobody is named for has no history: it counts in the sales and in `baskets` only.
    """
    decay = Decay(
        min(float(log.events.at.max()), time.time()) if as_of is None else as_of,
        config.history.taste_half_life_days,
        config.history.repeat_half_life_days,
        config.history.visit_decay or VISIT_DECAY,
    )
    named = log.customers >= 0
    customer_codes, customers = np.unique(log.customers[named], return_inverse=True)
    item_codes = np.unique(log.events.item_rows)
    if log.content is not None:
        item_codes = np.union1d(item_codes, log.content.new)
    items = np.searchsorted(item_codes, log.events.item_rows)
    events = replace(log.events, item_rows=items.astype(np.int32))
    groups, history = collect(customers, of(events, named), decay)
    offsets = np.searchsorted(groups, np.arange(len(customer_codes) + 1))
    sold = sales(items, log)
    extras = _extras(log, customer_codes, item_codes)
    return Matrix(customer_codes, item_codes, decay, offsets.astype(np.int64), history, *sold, extras)


def histories(log: Log, matrix: Matrix) -> Matrix:
    """Return `matrix` with the customers and histories of another log; items it does not know are left out."""
    at = np.minimum(np.searchsorted(matrix.item_codes, log.events.item_rows), len(matrix.item_codes) - 1)
    known = (matrix.item_codes[at] == log.events.item_rows) & (log.customers >= 0)
    codes, customers = np.unique(log.customers[known], return_inverse=True)
    events = replace(of(log.events, known), item_rows=at[known].astype(np.int32))
    groups, history = collect(customers, events, matrix.decay)
    offsets = np.searchsorted(groups, np.arange(len(codes) + 1)).astype(np.int64)
    extras = _extras(log, codes, matrix.item_codes)
    return replace(matrix, customer_codes=codes, offsets=offsets, history=history, extras=extras)


def _extras(log: Log, customer_codes: Array, item_codes: Array) -> Extras | None:
    if log.extras is None:
        return None
    return Extras(log.extras.items.at(item_codes), log.extras.customers.at(customer_codes))


def confidence(matrix: Matrix, alpha: float) -> sparse.csr_matrix:
    """Return the (customers, items) float32 matrix that ALS learns from; negative where evidence is against."""
    values = confidence_of(matrix.history.weights, alpha)
    return _sparse(values, matrix)


def _sparse(values: Array, matrix: Matrix) -> sparse.csr_matrix:
    # Copies: dropping the zeros compacts these arrays in place, and they are the history's own.
    full = sparse.csr_matrix((values, matrix.history.item_rows.copy(), matrix.offsets.copy()), shape=matrix.shape)
    full.eliminate_zeros()
    return full


def liked(matrix: Matrix) -> sparse.csr_matrix:
    """Return the (customers, items) float32 matrix of ones where the evidence is positive."""
    return _sparse(matrix.history.liked.astype(np.float32), matrix)


def traits(matrix: Matrix, group: Array | None = None) -> Array:
    """Return (n, 4) float32, `model.ITEM_TRAITS`: log of orders, orders per buyer, share of buyers who bought again,
    and of the visits after a customer's first with it, the part that bought it.

    The shares are shrunk to those of the shop by two buyers and twenty visits: one faithful customer is no rule.
    With `group`, (n,) int, −1 for none, the last is shrunk to its group's first.
    """
    h, n = matrix.history, matrix.shape[1]
    bought, again = h.orders > 0, h.orders > 1
    orders, buyers = np.bincount(h.item_rows, h.orders, n), np.bincount(h.item_rows[bought], minlength=n)
    share = again.sum() / max(bought.sum(), 1)
    returning = (np.bincount(h.item_rows[again], minlength=n) + 2.0 * share) / (buyers + 2.0)
    rate = _rates(matrix, group)
    return np.stack([np.log1p(orders), orders / np.maximum(buyers, 1), returning, rate], axis=1).astype(np.float32)


def _rates(matrix: Matrix, group: Array | None) -> Array:
    """Return (n,) float64: of the visits after a customer's first with an item, the part that bought it, shrunk to that
    of the item's group, and that to the shop's."""
    h, n = matrix.history, matrix.shape[1]
    bought = h.orders > 0
    since = np.bincount(h.item_rows, np.where(bought, visits(matrix) - 1 - h.first_visit, 0), n)
    again = np.bincount(h.item_rows, np.where(bought, h.bought_visits - 1, 0), n)
    prior = np.full(n, again.sum() / max(since.sum(), 1.0))
    if group is not None:
        grouped = np.flatnonzero(group >= 0)
        of = group[grouped]
        sums = (np.bincount(of, one[grouped]) for one in (again, since))
        whole_again, whole_since = sums
        prior[grouped] = (whole_again[of] + _RATE_VISITS * prior[grouped]) / (whole_since[of] + _RATE_VISITS)
    return np.asarray((again + _RATE_VISITS * prior) / (since + _RATE_VISITS))


def visits(matrix: Matrix) -> Array:
    """Return (entries,) how many visits the customer of each entry of the histories made."""
    newest = np.maximum.reduceat(matrix.history.last_visit, matrix.offsets[:-1])
    return np.repeat(newest + 1, np.diff(matrix.offsets))


def baskets(log: Log, matrix: Matrix) -> sparse.csr_matrix:
    """Return the (orders, items) float32 matrix of ones: which items were bought in one order."""
    bought = np.flatnonzero(log.events.purchases)
    items = np.searchsorted(matrix.item_codes, log.events.item_rows[bought])
    orders, rows = np.unique(log.events.orders[bought], return_inverse=True)
    full = sparse.csr_matrix((np.ones(len(items), np.float32), (rows, items)), shape=(len(orders), matrix.shape[1]))
    full.data[:] = 1.0  # equal lines of one order were added up
    return full


def witnesses(log: Log, liked: sparse.csr_matrix, orders: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return the rows that count as different customers when a pair of items needs several: each customer, and each
    order that names none. `liked` and `orders` are what the functions above return."""
    bought = np.flatnonzero(log.events.purchases)
    _, first = np.unique(log.events.orders[bought], return_index=True)
    return sparse.vstack([liked, orders[log.customers[bought][first] < 0]], format="csr")


def sales(items: Array, log: Log) -> tuple[Array, Array, Array]:
    """Return item rows, days and orders net of returns, one for each item and day, by day; one a customer."""
    e = log.events
    days = (e.at // int(DAY)).astype(np.int64)
    # One customer's orders of one item count once a day, so that nobody makes a bestseller alone; so do their returns,
    # refunds and cancels. Where no customer is named, each order counts once, however many lines it had.
    who = log.customers
    once = np.where(who >= 0, days, e.orders)
    bought, back = (_once(np.flatnonzero(mask), who, items, once) for mask in (e.purchases, log.returned))
    where = np.concatenate([bought, back])
    signs = np.concatenate([np.ones(len(bought)), -np.ones(len(back))])
    key = days[where] * (int(items.max()) + 1) + items[where]
    distinct, inverse = np.unique(key, return_inverse=True)
    width = int(items.max()) + 1
    return (
        (distinct % width).astype(np.int32), (distinct // width).astype(np.int32),
        np.bincount(inverse, signs, len(distinct)).astype(np.float32),
    )  # fmt: skip


def _once(where: Array, customers: Array, items: Array, orders: Array) -> Array:
    return where[first_of_each(customers[where], items[where], orders[where])]


def first_of_each(*columns: Array) -> Array:
    """Return the indices of the distinct rows of columns, each (e,) integer: of equal rows the first, ordered by the
    columns. What `np.unique` with an axis finds, in a quarter of the time and without a copy of all columns."""
    order = np.lexsort(columns[::-1])
    if not len(order):
        return order
    new = np.zeros(len(order), bool)
    new[0] = True
    for column in columns:
        ordered = column[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    return np.asarray(order[new])
