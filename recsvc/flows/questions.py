"""What a caller asks of a list, and what that is in the rows of the model in use."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from recsvc.artifact import Array
from recsvc.engine import arrange, filters
from recsvc.engine.filters import Filter
from recsvc.engine.lists import Listed
from recsvc.engine.query import Query
from recsvc.flows.answers import Ask, View
from recsvc.flows.shop import Shop

SHOWN: Final = ("title", "brand", "categories", "price_cents", "currency")
CAPPED: Final = ("brand", "category")
ROTATION_SECONDS: Final = 7200


@dataclass(frozen=True)
class Question:
    """A question in the caller's words.

    exclude: item ids. wanted: the filter of items, None for all.
    fields: what of each item is told; all of `SHOWN` when empty. max_per: (brand or category, how many) at most; of a
    category, the narrowest of an item counts. explain: whether each item tells what every generator gave it.
    include_offers: whether each has its best offer.
    cache_seconds: how long the answer may be kept; None for as long as the service keeps any. said: the fields that the
    caller gave; the placement fills in the others.
    """

    placement: str = "home"
    limit: int = 10
    offset: int = 0
    exclude: tuple[str, ...] = ()
    wanted: Filter | None = None
    fields: tuple[str, ...] = ()
    diversity: float = 0.0
    max_per: tuple[tuple[str, int], ...] = ()
    min_relevance: float = 0.0
    explore: float = 0.0
    rotation_rate: float = 0.0
    rotation_seconds: int = ROTATION_SECONDS
    locale: str | None = None
    channel: str | None = None
    explain: bool = False
    include_offers: bool = False
    cache_seconds: int | None = None
    said: frozenset[str] = frozenset()

    def ask(self, customer_id: str | None, keep: bool = True) -> Ask:
        """Return this question as it is answered and kept. keep: whether nothing else went into the answer."""
        return Ask(
            self.placement, customer_id, self.limit, exclude=self.exclude, wanted=self.wanted, offset=self.offset,
            asked=self._rest, keep=keep and self.settled,
        )  # fmt: skip

    @functools.cached_property
    def _rest(self) -> Question | None:
        """What is asked beyond what every question says; None when nothing is."""
        rest = replace(self, placement="home", limit=10, offset=0, exclude=(), wanted=None, channel=None)
        rest = replace(rest, cache_seconds=None, said=frozenset())
        return None if rest == _PLAIN else rest

    @property
    def settled(self) -> bool:
        """Whether the answer is the same until something changes, so that it may be kept."""
        offers = self.include_offers  # what limits an offer may change with every claim
        return not offers and not self.explore and not self.rotation_rate and self.cache_seconds != 0


_PLAIN: Final = Question()


def split(shop: Shop, exclude: Sequence[str]) -> tuple[str, ...]:
    """Return the ids that a query string means: an entry that is no item's id is several, separated by commas."""
    known = shop.current.snapshot.catalogue.items
    found: list[str] = []
    for entry in exclude:
        found += [entry] if entry in known else entry.split(",")
    return tuple(found)


def query(view: View, question: Question) -> Query:
    """Return a question in the rows of the model in use."""
    rows = view.model.rows
    caps = question.max_per
    assert view.snapshot.traits is not None
    if view.snapshot.traits.variants:
        caps = (("parent", 1), *caps)
    return Query(
        question.limit, question.offset,
        np.array([rows[one] for one in question.exclude if one in rows], np.int64),
        among(view, question.wanted), question.min_relevance, question.diversity, caps, question.explore,
    )  # fmt: skip


def read(given: str | dict[str, Any] | None) -> Filter | None:
    """Return the filter that JSON text or a JSON object holds.

    Raises:
        InvalidRequest: it is none; names the place in it.
    """
    if given is None:
        return None
    found = filters.parse_text(given) if isinstance(given, str) else filters.parse(given)
    return None if found == filters.EVERYTHING else found


def either(wanted: Filter | None, categories: Sequence[str]) -> Filter | None:
    """Return a filter that also asks for one of some categories, when there are any; None where all items will do."""
    parts = [] if wanted is None else [wanted]
    if categories:
        parts.append(Filter("in", "category", tuple(categories)))
    return Filter("all", parts=tuple(parts)) if len(parts) > 1 else next(iter(parts), None)


def among(view: View, wanted: Filter | None) -> Array | None:
    """Return (n,) bool, the items asked for; None for all."""
    assert view.snapshot.traits is not None
    return None if wanted is None else filters.mask(wanted, view.snapshot.traits)


def told(question: Question, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the items of a reply with the fields that were asked for."""
    if question.fields:
        for one in items:
            one["fields"] = {name: one["fields"][name] for name in question.fields}
    return items


def traits(view: View, listed: Listed, asked: Query) -> arrange.Traits:
    """Return of candidates what the query looks at, and nothing for the rest."""
    rows, known = listed.rows, view.snapshot.traits
    assert known is not None
    categories: list[list[str]] = []
    if asked.diversity or any(trait == "category" for trait, _ in asked.caps):
        items = view.snapshot.catalogue.items
        found = [items.get(view.model.item_ids[row]) for row in rows.tolist()]
        categories = [(one.categories or []) if one is not None else [] for one in found]
    codes = {
        trait: _codes([names[-1] if names else "" for names in categories]) if trait == "category"
        else known.parent[rows] if trait == "parent" else known.brand.codes[rows]
        for trait, _ in asked.caps
    }  # fmt: skip
    if not asked.diversity:
        return arrange.Traits(codes, np.empty((len(rows), 0)), np.empty((len(rows), 0), bool))
    return arrange.Traits(codes, np.ascontiguousarray(view.model.a["factors"][:, rows].T), _members(categories))


def _codes(names: list[str]) -> Array:
    """Return a number for each name, −1 for the empty one."""
    known = {"": -1}
    return np.array([known.setdefault(name, len(known)) for name in names], np.int64)


def _members(categories: list[list[str]]) -> Array:
    """Return (r, c) bool: which item is in which category."""
    place = {name: at for at, name in enumerate({name: None for names in categories for name in names})}
    out = np.zeros((len(categories), len(place)), bool)
    for row, names in enumerate(categories):
        out[row, [place[name] for name in names]] = True
    return out
