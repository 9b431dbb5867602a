"""Item karma, counted: which orders of an item ended with a return for a defect."""

from __future__ import annotations

import numpy as np

from recsvc.artifact import Array
from recsvc.engine import karma
from training.matrix import Matrix, first_of_each
from training.sources import Log

# One customer's word on one item, in orders: whoever orders it a hundred times and returns it each time is one
# customer with a quarrel. Twenty orders, from which on an item can be taken out of all lists, are at least five.
_EACH = 4


def multipliers(log: Log, matrix: Matrix) -> Array:
    """Return (n,) float32: `karma.multipliers` of the items of a matrix.

    Returns never count for more than was ordered by the same customer, or, where no customer is named, in the same
    order: a return of what was never bought says nothing.
    """
    bad, orders = _counted(log, matrix)
    return karma.multipliers(bad, orders)


def _counted(log: Log, matrix: Matrix) -> tuple[Array, Array]:
    """Return (n,) float64 twice: orders that ended with a return for a defect, and all orders."""
    e, n = log.events, matrix.shape[1]
    where = np.flatnonzero(e.purchases | log.blamed)
    items = np.searchsorted(matrix.item_codes, e.item_rows[where])
    _, order = np.unique(e.orders[where], return_inverse=True)
    customers = log.customers[where].astype(np.int64)
    who = np.where(customers >= 0, customers, len(log.customer_ids) + order)
    # Lines of one order with the same item count once, as everywhere.
    blamed = log.blamed[where]
    lines = first_of_each(who * n + items, order, blamed)
    pairs, inverse = np.unique((who * n + items)[lines], return_inverse=True)
    bad = np.bincount(inverse, blamed[lines], len(pairs))
    bought = np.bincount(inverse, ~blamed[lines], len(pairs))
    word = np.minimum(bought, _EACH)
    share = np.minimum(bad / np.maximum(bought, 1.0), 1.0)
    return np.bincount(pairs % n, share * word, n), np.bincount(pairs % n, word, n)
