"""Item karma: what other customers' bad outcomes with an item do to its place in everybody's lists.

A dislike is about one customer's taste and stays in that customer's history. A return for a defect is about the item:
its score is multiplied, in the blend and behind the ranker alike, and an item that fails too often is in no list.
"""

from __future__ import annotations

import numpy as np

from recsvc.artifact import Array

SHRINK = 20.0  # orders' worth of the shop's rate that every item starts with
FORCE = 2.0  # a rate 0.25 above the shop's halves the score
LOWEST, HIGHEST = 0.5, 1.1
BANNED_RATE, BANNED_ORDERS = 0.3, 20


def multipliers(bad: Array, orders: Array) -> Array:
    """Return (n,) float32: 1 − force · (rate − the shop's rate), clamped to [0.5, 1.1]; 0 for an item of at least 20
    orders and a rate of at least 0.3, which is in no list.

    The rate of an item is (bad + m · shop's rate) / (orders + m): two defects among two orders are not a rule.

    Args:
        bad: (n,) float, orders that ended badly.
        orders: (n,) float, all orders.
    """
    shop = float(bad.sum()) / max(float(orders.sum()), 1.0)
    rate = (bad + SHRINK * shop) / (orders + SHRINK)
    found = np.clip(1.0 - FORCE * (rate - shop), LOWEST, HIGHEST)
    found[(orders >= BANNED_ORDERS) & (rate >= BANNED_RATE)] = 0.0
    return found.astype(np.float32)


def applied(scores: Array, karma: Array) -> Array:
    """Return (c,) float32 scores with the karma of each item.

    A score below zero is divided: there too, bad karma moves down. What is in no list is for the shelf to leave out.
    """
    force = np.maximum(karma, np.float32(LOWEST))
    return np.asarray(np.where(scores > 0, scores * force, scores / force), np.float32)
