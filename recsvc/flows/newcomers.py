"""Newcomers: items that came into the catalogue after the model in use was trained.

No model has a word on them yet, so they stand where their categories and brand say: in a personal list and in one
around an item, every tenth slot (5, 15, 25 …) is theirs, and the ones that share most with what the customer likes, or
with the item, have it. The next training gives them a place of their own.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from recsvc.engine import filters
from recsvc.engine.filters import Filter
from recsvc.engine.history import History
from recsvc.engine.model import Model
from recsvc.engine.rules import Rulebook
from recsvc.store.database import MICROSECONDS
from recsvc.store.live import Catalogue

FIRST: Final = 5
EVERY: Final = 10
# Newcomers held, items of a history that say what somebody likes, newcomers in one list.
_MOST, _LIKED, _EACH = 500, 30, 10


@dataclass(frozen=True, slots=True)
class Newcomers:
    """Those that may be shown at one moment. items: id → row of the catalogue, newest first, at most 500. mark: another
    number where lists may come out otherwise, 0 without any. until: epoch seconds at which one opens or closes."""

    items: Mapping[str, Any] = field(default_factory=dict)
    mark: int = 0
    until: float = float("inf")


def of(catalogue: Catalogue, model: Model, now: float) -> Newcomers:
    """Return the newcomers of a catalogue at `now` (epoch seconds). Sensitive items are none, nor are variants of what
    the model knows, which have a slot already."""
    found, until = dict[str, Any](), float("inf")
    for one in catalogue.newest:
        if one.created_at / MICROSECONDS < model.decay.as_of or len(found) == _MOST:
            break
        if one.item_id in model.rows or one.parent_id in model.rows or one.sensitive or not one.active:
            continue
        opens, closes = _seconds(one.available_from), _seconds(one.available_to)
        until = min([edge for edge in (opens, closes, until) if edge is not None and edge > now], default=until)
        if (
            (opens is None or opens <= now)
            and (closes is None or now < closes)
            and (one.stock is None or one.stock > 0)
        ):
            found[one.item_id] = one
    told = [(name, one.title, one.brand, one.categories, one.price_cents, one.parent_id) for name, one in found.items()]
    return Newcomers(found, zlib.crc32(repr(told).encode("utf-8", "replace")) if found else 0, until)


def renewed(old: Newcomers, catalogue: Catalogue, model: Model, now: float) -> Newcomers:
    """Return the newcomers of a newer catalogue, or of a later moment."""
    outside = catalogue.changed is None or any(one not in model.rows for one in catalogue.changed)
    return of(catalogue, model, now) if outside or now >= old.until else old


def taste(catalogue: Catalogue, model: Model, history: History) -> dict[str, float]:
    """Return what a customer likes, as categories and brands with their weight; the rarer ones weigh more."""
    liked = np.flatnonzero(history.liked)
    liked = liked[np.argsort(-history.weights[liked], kind="stable")[:_LIKED]]
    weights: dict[str, float] = defaultdict(float)
    for entry in liked.tolist():
        item = catalogue.items.get(model.item_ids[int(history.item_rows[entry])])
        for word in words(item):
            weights[word] += float(np.log1p(history.weights[entry]))
    return weights


def words(item: Any) -> list[str]:
    """Return the categories and the brand of an item of the catalogue; none for None."""
    if item is None:
        return []
    return [f"c:{name}" for name in item.categories or []] + ([f"b:{item.brand}"] if item.brand else [])


def chosen(
    newcomers: Newcomers, weights: Mapping[str, float], wanted: Filter | None, left_out: Collection[str],
    rules: Rulebook, placement: str,
) -> list[tuple[str, float]]:  # fmt: skip
    """Return the newcomers nearest to a taste, and how near: the mean part of it that each of their words has. One for
    each parent, and what the rules of the placement let through."""
    found: list[tuple[str, float]] = []
    whole = sum(weights.values())
    if not whole:
        return []
    for item_id, item in newcomers.items.items():
        if item_id in left_out or not (wanted is None or filters.matches(wanted, item)):
            continue
        said = words(item)
        shared = sum(weights.get(word, 0.0) for word in said) / whole / max(len(said), 1)
        if shared > 0 and permitted(rules, placement, item):
            found.append((item_id, shared))
    found.sort(key=lambda one: -one[1])
    parents: dict[str, tuple[str, float]] = {}
    for name, share in found:
        parents.setdefault(newcomers.items[name].parent_id or name, (name, share))
    return list(parents.values())[:_EACH]


def permitted(rules: Rulebook, placement: str, item: Any) -> bool:
    """Whether the rules and the filter of a placement let an item through that the model does not know."""
    plan = rules.plan(placement)
    included = [filters.matches(one.rule.match, item) for one in plan.rules if one.rule.action == "include"]
    excluded = [filters.matches(one.rule.match, item) for one in plan.rules if one.rule.action == "exclude"]
    own = (rules.filtered or {}).get(placement)
    return not any(excluded) and (not included or any(included)) and (own is None or filters.matches(own[0], item))


def near(items: Mapping[str, Any], scores: Mapping[str, float], item: Any) -> float:
    """Return the mean of the scores of the items that are in the narrowest category of a newcomer; 0 without any."""
    narrowest = (item.categories or [None])[-1]
    alike = [score for name, score in scores.items() if narrowest in (items[name].categories or [])]
    return sum(alike) / len(alike) if alike and narrowest is not None else 0.0


def slots(count: int, offset: int, last: int) -> tuple[int, list[int]]:
    """Return how many of `count` newcomers stand before a page, and the slots of those on it."""
    theirs = [FIRST + EVERY * n for n in range(count)]
    return sum(slot <= offset for slot in theirs), [slot for slot in theirs if offset < slot <= last]


def joined(items: list[Any], fresh: list[Any], places: list[int], offset: int) -> list[Any]:
    """Return the items of a page with the newcomers in their places; where the list ends before one, it is left out."""
    out, rest = list[Any](), iter(items)
    waiting = dict(zip(places, fresh, strict=True))
    while True:
        one = waiting.pop(offset + len(out) + 1, None) or next(rest, None)
        if one is None:
            return out
        out.append(one)


def _seconds(micro: int | None) -> float | None:
    return None if micro is None else micro / MICROSECONDS
