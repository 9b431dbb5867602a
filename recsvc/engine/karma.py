"""Item karma: what other customers' bad outcomes with an item do to its place in everybody's lists.

A dislike is about one customer's taste and stays in that customer's history. A return for a defect, a complaint or a
low review is about the item: its score is multiplied, in the blend and behind the ranker alike, and an item that is
defective too often is in no list. Which outcomes count, and how much, training decides; here is the arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from recsvc.artifact import Array
from recsvc.errors import ArtifactInvalid

LOWEST, HIGHEST = 0.5, 1.1
# name → number of dimensions. An artifact of before they were there has none of them: then nobody can say why.
ARRAYS: Final = {
    "karma_orders": 1, "karma_bad": 1, "karma_defects": 1, "karma_category_rates": 1, "karma_category_defects": 1,
    "karma_rows": 1, "karma_reasons": 1, "karma_counts": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """How rates are judged.

    shrink: orders' worth of the category's rate that every item starts with. force: what a rate above the category's
    takes off. banned_rate: the rate of defects, shrunk too, from which on an item of at least banned_orders orders is
    in no list.
    """

    shrink: float = 20.0
    force: float = 2.0
    banned_rate: float = 0.3
    banned_orders: float = 20.0


def rates(bad: Array, orders: Array, expected: Array, shrink: float) -> Array:
    """Return (n,) float64: (bad + m · expected) / (orders + m). Two bad ends among two orders are not a rule.

    Args:
        bad: (n,) float, orders that ended badly, by weight.
        orders: (n,) float, all orders.
        expected: (n,) float, the rate of each item's category.
        shrink: m, orders.
    """
    return np.asarray((bad + shrink * expected) / np.maximum(orders + shrink, 1e-9))


def category_rates(bad: Array, orders: Array, group: Array, shrink: float) -> Array:
    """Return (n,) float64: the rate of the other items of each item's category, shrunk to the shop's in the same way.

    The item itself does not count: in a category of its own it would be what is usual there.

    Args:
        bad, orders: as in `rates`.
        group: (n,) int, the category of each item; −1 for none, which has the shop's rate.
    """
    shop = float(bad.sum()) / max(float(orders.sum()), 1.0)
    found = np.full(len(bad), shop)
    grouped = np.flatnonzero(group >= 0)
    of = group[grouped]
    others_bad, others = (np.bincount(of, one[grouped])[of] - one[grouped] for one in (bad, orders))
    found[grouped] = (others_bad + shrink * shop) / np.maximum(others + shrink, 1e-9)
    return found


def multipliers(rate: Array, category: Array, defects: Array, orders: Array, limits: Limits) -> Array:
    """Return (n,) float32: 1 − force · (rate − the category's), clamped to [0.5, 1.1]; 0 for what is in no list.

    Args:
        rate, category: (n,), of `rates` and `category_rates`.
        defects: (n,), `rates` of defects alone.
        orders: (n,) float.
    """
    found = np.clip(1.0 - limits.force * (rate - category), LOWEST, HIGHEST)
    found[(orders >= limits.banned_orders) & (defects >= limits.banned_rate)] = 0.0
    return found.astype(np.float32)


def applied(scores: Array, karma: Array) -> Array:
    """Return (c,) float32 scores with the karma of each item.

    A score below zero is divided: there too, bad karma moves down. What is in no list is for the shelf to leave out.
    """
    force = np.maximum(karma, np.float32(LOWEST))
    return np.asarray(np.where(scores > 0, scores * force, scores / force), np.float32)


@dataclass(frozen=True, slots=True)
class Bad:
    """How often an item ended badly in one way: kind `return`, `complaint` or `review`, the reason, its weight, and
    whether it is a defect. count: orders, of which one customer has four at most."""

    kind: str
    reason: str
    count: float
    weight: float
    defect: bool


@dataclass(frozen=True, slots=True)
class Parts:
    """What an item's karma was made from; see `rates` and `multipliers`. orders: of one customer four at most."""

    orders: float
    outcomes: tuple[Bad, ...]
    category_rate: float
    rate: float
    defect_rate: float


def parts(arrays: Mapping[str, Array], parameters: Mapping[str, Any], row: int) -> Parts | None:
    """Return what the karma of an item was made from; None in a version of before that was kept.

    Args:
        arrays: of a model. parameters: `karma` of its manifest's parameters.
    """
    if "karma_orders" not in arrays:
        return None
    shrink = limits(parameters).shrink
    start, end = np.searchsorted(arrays["karma_rows"], [row, row + 1])
    told = parameters["outcomes"]
    outcomes = tuple(
        Bad(told[code]["kind"], told[code]["reason"], float(count), told[code]["weight"], told[code]["defect"])
        for code, count in zip(
            arrays["karma_reasons"][start:end].tolist(), arrays["karma_counts"][start:end].tolist(), strict=True
        )
    )
    of = {name: arrays[f"karma_{name}"][row : row + 1].astype(np.float64) for name in _OF_ITEM}
    return Parts(
        float(of["orders"][0]), outcomes, float(of["category_rates"][0]),
        float(rates(of["bad"], of["orders"], of["category_rates"], shrink)[0]),
        float(rates(of["defects"], of["orders"], of["category_defects"], shrink)[0]),
    )  # fmt: skip


_OF_ITEM: Final = ("orders", "bad", "defects", "category_rates", "category_defects")


def limits(parameters: Mapping[str, Any]) -> Limits:
    """Return the limits that a version was made with."""
    return Limits(*(float(parameters[name]) for name in Limits.__slots__))


def check(arrays: Mapping[str, Array], parameters: Mapping[str, Any], version: str, n: int) -> None:
    """Look whether the arrays fit each other and n items, where they are there.

    Raises:
        ArtifactInvalid: they do not; names the array.
    """
    if "karma_orders" not in arrays:
        return
    counted = len(arrays.get("karma_rows", ()))
    for name in ARRAYS:
        shape = (counted,) if name in {"karma_rows", "karma_reasons", "karma_counts"} else (n,)
        if name not in arrays or arrays[name].shape != shape:
            raise ArtifactInvalid(f"{version}: {name} is missing or not of shape {shape}")
    rows, reasons = arrays["karma_rows"], arrays["karma_reasons"]
    if counted and (int(rows[0]) < 0 or int(rows[-1]) >= n or (np.diff(rows.astype(np.int64)) < 0).any()):
        raise ArtifactInvalid(f"{version}: karma_rows does not ascend within the {n} items")
    try:
        limits(parameters)
        known = [(one["kind"], one["reason"], float(one["weight"]), one["defect"]) for one in parameters["outcomes"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactInvalid(f"{version}: parameters.karma: {type(error).__name__}: {error}") from error
    if counted and not 0 <= int(reasons.min()) <= int(reasons.max()) < len(known):
        raise ArtifactInvalid(f"{version}: karma_reasons points outside the {len(known)} outcomes")
