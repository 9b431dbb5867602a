"""Choice: which offers a customer gets, in which order, of those that are not refused.

Expected money orders them: the chance that the customer redeems, times what a redemption leaves, value less cost.
Before it come the merchant's priority and two policies: who was let down gets service first, and who will buy anyway
gets discounts last, since for them a discount gives away margin and an experience gives something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from recsvc.artifact import Array
from recsvc.engine import refusals, timing
from recsvc.engine.history import History
from recsvc.engine.refusals import Person, Refusal, Terms
from recsvc.engine.timing import Timing

SERVICE: Final = "service"
DISCOUNT: Final = "discount"
# An order within so many days without any offer.
ANYWAY_DAYS: Final = 7.0


@dataclass(frozen=True, slots=True)
class Wares:
    """The offers as the choice sees them, of o. p: (o,) float64, the chance of redemption. value, cost: (o,) float64
    cents, 0 where nothing was said. fame: (o,) float, for equal scores. available: (o,) bool, whether an item of it may
    be shown, true for an offer about no item."""

    terms: Sequence[Terms]
    p: Array
    value: Array
    cost: Array
    fame: Array
    available: Array

    @property
    def scores(self) -> Array:
        """(o,) float64: expected cents."""
        return np.asarray(self.p * (self.value - self.cost))


@dataclass(frozen=True, slots=True)
class Chosen:
    """offers: positions in the book, best first. refused: (position, code and detail) of all others that were asked
    about."""

    offers: list[int]
    refused: list[tuple[int, Refusal]]


def buys_anyway(known: Timing, history: History, now: float, threshold: float) -> bool:
    """Whether a customer orders within `ANYWAY_DAYS` days with at least the chance `threshold`, whatever we do."""
    expected = float(timing.per_day(known, timing.visits_of(history), now)[0]) * ANYWAY_DAYS
    return bool(history.visits) and 1.0 - float(np.exp(-expected)) >= threshold


def order(wares: Wares, open_: Sequence[int], person: Person, anyway: bool) -> list[int]:
    """Return the positions of offers, best first.

    Args:
        open_: those that were not refused.
        anyway: as `buys_anyway` says.
    """
    scores, let_down = wares.scores, person.karma <= refusals.PAUSED_AT

    def place(at: int) -> tuple[bool, int, bool, float, float, str]:
        terms = wares.terms[at]
        return (
            let_down and terms.kind != SERVICE, -terms.priority, anyway and terms.kind == DISCOUNT,
            -float(scores[at]), -float(wares.fame[at]), terms.offer_id,
        )  # fmt: skip

    return sorted(open_, key=place)


def choose(wares: Wares, ordered: Sequence[int], person: Person, limit: int) -> Chosen:
    """Return the first `limit` of the ordered offers that go together, and why the others do not come.

    Of one exclusive group the first comes, unless the customer holds another of it; an offer that does not stack comes
    alone, or not at all.
    """
    taken: list[int] = []
    refused: list[tuple[int, Refusal]] = []
    groups = dict(person.groups)
    for at in ordered:
        ground = _beside(wares, at, taken, groups)
        if ground is None and not wares.available[at]:
            ground = "unavailable", "none of its items can be shown now"
        if ground is None and len(taken) >= limit:
            ground = "below_rank", f"{limit} stand before it"
        if ground is not None:
            refused.append((at, ground))
            continue
        taken.append(at)
        terms = wares.terms[at]
        if terms.exclusive_group is not None:
            groups[terms.exclusive_group] = terms.offer_id
    return Chosen(taken, refused)


def _beside(wares: Wares, at: int, taken: list[int], groups: dict[str, str]) -> Refusal | None:
    terms = wares.terms[at]
    other = groups.get(terms.exclusive_group) if terms.exclusive_group is not None else None
    if other is not None and other != terms.offer_id:
        return "exclusive_group", f"{other} of the group {terms.exclusive_group} comes first"
    alone = next((wares.terms[one].offer_id for one in taken if not wares.terms[one].stackable), None)
    if alone is not None:
        return "not_stackable", f"{alone} stands alone"
    if taken and not terms.stackable:
        return "not_stackable", "it stands alone, and others come before it"
    return None
