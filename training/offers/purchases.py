"""Purchases as examples: who bought of an offer's items within six weeks, of offers at a moment before it.

What a shop has before anybody redeemed anything, and of which there is a hundred times more.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from recsvc.artifact import Array
from recsvc.engine import redemption
from recsvc.engine.history import DAY
from training.offers import mailings as past_of
from training.offers.mailings import Past

WINDOW_DAYS: Final = 42
_OFFERS, _CUSTOMERS, _PAIRS = 250, 400, 60_000


def questions(shop: Past, at: float, seed: int) -> tuple[Array, Array, Array, Array] | None:
    """Return features (r, f), labels, weights and log odds to begin with, as `ranker.grown` takes them, of pairs of a
    customer and an offer of the newest mailings that had begun at a moment, asked `WINDOW_DAYS` before it.

    None where nobody bought of them, or there was nobody to ask.
    """
    rng, then = np.random.default_rng(seed), at - WINDOW_DAYS * DAY
    events, who = shop.log.events, shop.log.customers
    bought = events.purchases & (who >= 0)
    some = np.unique(who[bought & (events.at < then)])
    if not len(some):
        return None
    some = np.sort(rng.choice(some, min(len(some), _CUSTOMERS), replace=False))
    within = bought & (events.at >= then) & (events.at < at) & np.isin(who, some)
    buyers, what = np.searchsorted(some, who[within]), events.item_rows[within]
    features, labels, left = [], [], _OFFERS
    for mailing in reversed([one for one in shop.mailings if one.starts_at <= at and one.items]):
        offers = np.sort(rng.choice(len(mailing.items), min(len(mailing.items), left), replace=False))
        features.append(past_of.tables(shop, mailing, then, some, offers).reshape(-1, len(redemption.FEATURES)))
        labels.append(np.stack([_among(buyers, what, mailing.items[one], len(some)) for one in offers], 1).ravel())
        left -= len(offers)
        if left <= 0:
            break
    label = np.concatenate(labels) if labels else np.zeros(0, bool)
    if label.all() or not label.any():
        return None
    chosen = rng.permutation(len(label))[:_PAIRS]
    level = np.full(len(chosen), np.log(label.mean() / (1.0 - label.mean())))
    return np.concatenate(features)[chosen], label[chosen], np.ones(len(chosen)), level


def _among(buyers: Array, what: Array, items: Array, count: int) -> Array:
    """Return (count,) bool: who bought any of some items."""
    return np.asarray(np.bincount(buyers[np.isin(what, items)], minlength=count) > 0)
