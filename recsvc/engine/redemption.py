"""The offer model: how likely a customer takes up an offer, p(redeem), from what they and everybody buy and took up.

What an offer is about is computed once for all offers (`about`); of a customer only the own items are walked, so that a
thousand offers cost a request less than two milliseconds. Where nothing was learnt, a prior stands in (`prior`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from recsvc.artifact import Array
from recsvc.engine import forest
from recsvc.engine.history import DAY, History
from recsvc.errors import ArtifactInvalid

# What the forest sees of a customer and an offer, column by column; `features` fills it in.
FEATURES: Final = (
    "orders", "aged", "own_items", "most_bought", "days_since", "per_visit", "due", "popularity", "items",
    "campaign_size", "affinity", "narrow", "narrow_share", "wide", "wide_lift", "maker_lift",
    "redeemed", "campaigns_used", "redeemed_share", "visits", "days",
)  # fmt: skip
# The levels an item is grouped by: its narrowest category, the one above it, and its maker.
LEVELS: Final = 3
# What is counted of a customer's ended campaigns: offers redeemed, campaigns with one, campaigns, offers shown.
TAKEN: Final = 4
PREFIX: Final = "offer_"
_LEAST_SHARE: Final = 1e-4
_SHOWN_PRIOR: Final = 500.0
# Of the pairs of a coupon and a household that was sent it, 0.26 % were redeemed in The Complete Journey (simulated).
PRIOR_RATE: Final = 0.003
PRIOR_MOST: Final = 10.0


@dataclass(frozen=True, slots=True)
class Goods:
    """What the model needs of the n items of a shop. popularity: (n,) float, recent orders. groups: (n, LEVELS) int32
    codes, −1 where an item has none."""

    popularity: Array
    groups: Array


@dataclass(frozen=True, slots=True)
class About:
    """What o offers are about.

    offsets (n + 1,), offers: of item i the offers with it stand from offsets[i] to offsets[i + 1]. size, popularity:
    (o,) items, and their recent orders. campaign_size: (o,) offers of its campaign. days: (o,) how long it is valid.
    levels: for each of LEVELS the offers (z,), groups (z,) and shares (z,): how much of an offer's items is in a group.
    usual: (LEVELS, o), how much of everybody's orders is in an offer's groups.
    """

    offsets: Array
    offers: Array
    size: Array
    popularity: Array
    total: float
    campaign_size: Array
    days: Array
    levels: list[tuple[Array, Array, Array]]
    usual: Array


def campaign(offer_id: str, attributes: Mapping[str, Any] | None) -> str:
    """Return what names the campaign of an offer: what its attributes say, else itself."""
    named = (attributes or {}).get("campaign")
    return f"offer {offer_id}" if named is None else f"campaign {json.dumps(named, sort_keys=True)}"


def about(goods: Goods, items: list[Array], campaigns: Array, days: Array) -> About:
    """Return what offers are about.

    Args:
        items: of each offer, item rows, each once.
        campaigns: (o,) int, equal for the offers of one campaign.
        days: (o,) float, how long each is valid; NaN where open-ended.
    """
    sizes = np.array([len(one) for one in items], np.int64)
    rows = np.concatenate(items).astype(np.int64) if len(items) else np.empty(0, np.int64)
    of = np.repeat(np.arange(len(items)), sizes)
    order = np.argsort(rows, kind="stable")
    offsets = np.searchsorted(rows[order], np.arange(len(goods.popularity) + 1))
    orders = np.maximum(goods.popularity, 0.0).astype(np.float64)
    _, campaign, members = np.unique(campaigns, return_inverse=True, return_counts=True)
    levels = [_shares(of, goods.groups[rows, level], sizes) for level in range(LEVELS)]
    usual = [_usual(orders, goods.groups[:, level], levels[level], len(items)) for level in range(LEVELS)]
    return About(
        offsets, of[order], sizes.astype(np.float64), np.bincount(of, orders[rows], len(items)), float(orders.sum()),
        members[campaign].astype(np.float64), days.astype(np.float64), levels, np.stack(usual),
    )  # fmt: skip


def features(known: About, goods: Goods, history: History, taken: Array, now: float) -> Array:
    """Return (o, f) float32, the columns of `FEATURES`, of one customer and all offers.

    Args:
        history: in the rows of `goods`.
        taken: (TAKEN,) float, of the campaigns that have ended.
        now: epoch seconds.
    """
    rows, entry, to = _own(known, history)
    o, orders = len(known.size), history.orders[rows].astype(np.float64)
    aged, last_at = history.repeats[rows].astype(np.float64), history.last_at[rows].astype(np.float64)
    own = np.bincount(to, orders[entry], o)
    most, last = np.zeros(o), np.zeros(o)
    np.maximum.at(most, to, orders[entry])
    np.maximum.at(last, to, last_at[entry])
    since = np.where(last > 0, np.maximum(now - last, 0.0) / DAY, np.nan)
    span = max((now - float(history.first_at[rows].min(initial=int(now)))) / DAY, 1.0)
    pace = 90.0 / max(span, 30.0)  # a long history says no more than a short one of the same pace
    groups = goods.groups[history.item_rows[rows]]
    levels = [_leaning(known, level, groups[:, level], aged) for level in range(LEVELS)]
    whole = max(float(aged.sum()), 1e-6)
    lifts = [np.log((one / whole + _LEAST_SHARE) / (known.usual[level] + _LEAST_SHARE))
             for level, one in enumerate(levels)]  # fmt: skip
    expected = orders.sum() * known.popularity / max(known.total, 1.0)
    columns = [
        np.log1p(own * pace), np.log1p(10.0 * np.bincount(to, aged[entry], o)), np.log1p(np.bincount(to, minlength=o)),
        np.log1p(most * pace), since, own / max(history.visits, 1), np.where(own > 1, since * own / span, np.nan),
        np.log1p(known.popularity), np.log1p(known.size), np.log(known.campaign_size),
        np.log((own + 0.5) / (expected + 0.5)), np.log1p(10.0 * levels[0]), levels[0] / whole,
        np.log1p(10.0 * levels[1]), lifts[1], lifts[2], *_of_customer(taken),
        np.log1p(pace / 3.0 * history.visits), known.days,
    ]  # fmt: skip
    out = np.empty((o, len(FEATURES)), np.float32)
    for at, column in enumerate(columns):
        out[:, at] = column
    return out


@dataclass(frozen=True, slots=True)
class Takers:
    """The offer model of an artifact. arrays: `offer_forest_*`, empty where nothing was learnt. base: what the forest
    moves. goods: of the n items. taken: (c, TAKEN) float32, of the model's customers."""

    arrays: Mapping[str, Array]
    base: float
    goods: Goods
    taken: Array

    def of(self, row: int) -> Array:
        """Return (TAKEN,) of a customer; nothing for a row of −1."""
        return self.taken[row] if 0 <= row < len(self.taken) else np.zeros(TAKEN, np.float32)


def of_artifact(arrays: Mapping[str, Array], base: float, n: int) -> Takers:
    """Return the offer model in an artifact's arrays, for its n items; one of before there was any
    knows nothing, and the prior stands in.

    Raises:
        ArtifactInvalid: names what does not fit.
    """
    customers = len(arrays["customer_high"])
    check(arrays, base, n, customers)
    groups = arrays.get("offer_groups", np.full((n, LEVELS), -1, np.int32))
    taken = arrays.get("customer_offers", np.zeros((customers, TAKEN), np.float32))
    found = {name: one for name, one in arrays.items() if name.startswith(f"{PREFIX}forest_")}
    return Takers(found, base, Goods(arrays["popularity"], groups), taken)


def chances(model: Takers, about: About, history: History, row: int, now: float, only: Array) -> Array:
    """Return (o,) float64: p(redeem) of one customer and some offers, 0 of the others.

    Args:
        row: of the customer in the model, −1 for none.
        only: positions of the offers that are asked about. Of a year's coupons most have ended.
        now: epoch seconds.
    """
    found = np.zeros(len(about.size))
    if not model.arrays:
        found[only] = chance(prior(about, history)[only])
    elif len(only):
        table = features(about, model.goods, history, model.of(row), now)[only]
        found[only] = chance(log_odds(model.arrays, model.base, table))
    return found


def log_odds(arrays: Mapping[str, Array], base: float, table: Array) -> Array:
    """Return (c,) float64, the log odds that each row of `features` is taken up.

    Args:
        arrays: with `offer_forest_*`, as `check` accepts them.
        base: what the forest moves.
    """
    return np.asarray(base + forest.predict(trees(arrays), table))


def prior(known: About, history: History) -> Array:
    """Return (o,) float64, log odds where nothing was learnt: `PRIOR_RATE`, times up to ten with the aged orders of the
    offer's items, because who bought them takes up an offer on them sooner."""
    rows, entry, to = _own(known, history)
    own = np.bincount(to, history.repeats[rows].astype(np.float64)[entry], len(known.size))
    p = PRIOR_RATE * (1.0 + (PRIOR_MOST - 1.0) * own / (own + 1.0))
    return np.asarray(np.log(p / (1.0 - p)))


def chance(odds: Array) -> Array:
    """Return (c,) float64 in (0, 1) of log odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-odds)))


def trees(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the forest's arrays under the names that `forest` knows; empty where nothing was learnt."""
    there = {name: arrays.get(PREFIX + name) for name in forest.ARRAYS}
    return {name: one for name, one in there.items() if one is not None}


def check(arrays: Mapping[str, Array], base: float, items: int, customers: int) -> None:
    """Refuse arrays of an offer model that do not fit each other or the model of `items` and `customers`.

    Raises:
        ArtifactInvalid: names what does not fit.
    """
    found = trees(arrays)
    if not found:
        return
    forest.check(found, len(FEATURES))
    for name, shape in (("offer_groups", (items, LEVELS)), ("customer_offers", (customers, TAKEN))):
        if name not in arrays or arrays[name].shape != shape:
            raise ArtifactInvalid(f"{name}: is missing or not of shape {shape}")
    if not np.isfinite(base):
        raise ArtifactInvalid(f"offers.base: {base}: must be a number")


def _own(known: About, history: History) -> tuple[Array, Array, Array]:
    """Return the entries of the history that count, and for each pair of one and an offer with its item: the place of
    the entry among them, and the offer."""
    mine = np.flatnonzero(history.liked & (history.orders > 0))
    starts = known.offsets[history.item_rows[mine]]
    counts = known.offsets[history.item_rows[mine] + 1] - starts
    entry = np.repeat(np.arange(len(mine)), counts)
    first = starts - np.cumsum(counts) + counts
    return mine, entry, known.offers[np.arange(len(entry)) + first[entry]]


def _of_customer(taken: Array) -> tuple[float, float, float]:
    redeemed, used, campaigns, shown = (float(one) for one in taken)
    return float(np.log1p(redeemed)), used / (campaigns + 1.0), (redeemed + 1.0) / (shown + _SHOWN_PRIOR)


def _shares(of: Array, groups: Array, sizes: Array) -> tuple[Array, Array, Array]:
    """Return offers, groups and shares: how much of each offer's items is in each group."""
    named = groups >= 0
    pairs, counts = np.unique(of[named] << 32 | groups[named].astype(np.int64), return_counts=True)
    offers = pairs >> 32
    return offers, pairs & 0xFFFFFFFF, counts / np.maximum(sizes[offers], 1)


def _usual(orders: Array, groups: Array, shares: tuple[Array, Array, Array], o: int) -> Array:
    named = groups >= 0
    of_group = np.bincount(groups[named], orders[named], int(groups.max(initial=0)) + 1) / max(orders.sum(), 1.0)
    return np.bincount(shares[0], of_group[shares[1]] * shares[2], o)


def _leaning(known: About, level: int, groups: Array, aged: Array) -> Array:
    """Return (o,): the customer's aged orders in the groups of each offer, by the offer's shares."""
    offers, of_groups, shares = known.levels[level]
    named = groups >= 0
    width = max(int(of_groups.max(initial=0)), int(groups.max(initial=0))) + 1
    profile = np.bincount(groups[named], aged[named], width)
    return np.bincount(offers, profile[of_groups] * shares, len(known.size))
