"""Which order a return undoes: judged when the history is read, never when a return comes in.

So it does not matter whether the return or its purchase came first, in which file, or over the API.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array


@dataclass(slots=True)
class _Lot:
    """What a customer bought of an item in one order, and how much of it did not come back yet."""

    order: int
    at: int
    left: int


def undone(customers: Array, items: Array, orders: Array, at: Array, quantity: Array, bought: Array) -> Array:
    """Return the order of each event, a return's being that of the purchase it undoes: the same order, else the
    customer's newest earlier one of this item of which enough is left, else its own.

    Args:
        customers, items, orders: (e,) codes, orders −1 where none. Only purchases and returns of customers are given.
        at: (e,) int64, ascending. quantity: (e,) int64, > 0.
        bought: (e,) bool, True for a purchase, False for a return.

    Returns:
        (e,) like `orders`.
    """
    found = orders.copy()
    pairs = customers.astype(np.int64) << 32 | items.astype(np.int64)
    back = np.flatnonzero(~bought)
    lots: dict[int, dict[int, _Lot]] = {}
    for row in np.flatnonzero(bought & (orders >= 0) & np.isin(pairs, np.unique(pairs[back]))).tolist():
        mine, order = lots.setdefault(int(pairs[row]), {}), int(orders[row])
        lot = mine.setdefault(order, _Lot(order, int(at[row]), 0))
        lot.left += int(quantity[row])
    for row in back.tolist():
        best = _best(lots.get(int(pairs[row]), {}), int(orders[row]), int(at[row]), int(quantity[row]))
        if best is not None:
            best.left -= int(quantity[row])
            found[row] = best.order
    return found


def cancelled(
    customers: Array, items: Array, orders: Array, quantity: Array, bought: Array, cancels: Array
) -> tuple[Array, Array]:
    """Return (e,) bool twice: the purchases of which all was cancelled, and the cancels that did it.

    Args:
        customers, items, orders: (e,) integer, orders as `undone` matched them; those below 0 match nothing.
        quantity: (e,) int64, > 0.
        bought, cancels: (e,) bool.
    """
    gone, did = np.zeros(len(orders), bool), np.zeros(len(orders), bool)
    if not cancels.any():
        return gone, did
    some = np.flatnonzero(cancels & (orders >= 0))
    some = np.concatenate([some, np.flatnonzero(bought & np.isin(orders, orders[some]))])
    left: dict[tuple[int, int, int], int] = {}
    keys = list(zip(customers[some].tolist(), items[some].tolist(), orders[some].tolist(), strict=True))
    for key, event in zip(keys, some.tolist(), strict=True):
        left[key] = left.get(key, 0) + int(quantity[event]) * (1 if bought[event] else -1)
    both = {key for key, event in zip(keys, some.tolist(), strict=True) if bought[event]}
    over = np.array([key in both and left[key] <= 0 for key in keys], bool)
    gone[some[over & bought[some]]] = True
    did[some[over & cancels[some]]] = True
    return gone, did


def _best(lots: dict[int, _Lot], own: int, at: int, quantity: int) -> _Lot | None:
    earlier = [lot for lot in lots.values() if lot.at <= at]
    # The last number decides between two orders of one moment, so that every reading order agrees.
    return max(
        earlier,
        key=lambda lot: (lot.order == own, lot.left >= quantity, lot.left > 0, lot.at, lot.order),
        default=None,
    )
