"""Refusals: why an offer is not for a customer at a moment, each with a code and a detail in words.

Of several grounds the first in the order of `CODES` is named: what holds for everybody comes before what holds for
this customer. Whatever the list of offers is asked for, a claim on it meets the same grounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from recsvc.engine import conditions
from recsvc.engine.conditions import Condition, Facts
from recsvc.engine.history import DAY

CODES: Final = (
    "inactive", "not_started", "ended", "other_kind", "channel", "no_consent", "quiet_hours", "contact_cap", "paused",
    "eligibility", "capacity", "budget", "max_per_customer", "cooldown", "max_shown", "exclusive_group", "unavailable",
    "not_stackable", "below_rank",
)  # fmt: skip
# Customer karma at and below which promotions pause: the shop makes good before it sells.
PAUSED_AT: Final = -2.0
Refusal = tuple[str, str]
"""A code of `CODES`, and the detail."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What an offer may give out. unit: `usage` counts claims, `spend` cents. counts: `issued`, when a claim is made,
    or `redeemed`. period: `total`, `day`, `week` or `month`, in UTC."""

    unit: str
    counts: str
    limit: int
    period: str = "total"


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one offer. starts_at, ends_at: epoch seconds, −inf and inf where open-ended; the end itself is over.
    channels: empty for all. eligible: None for everybody; `condition` is what it was made of. promotion: whether it
    pauses while the customer was let down. cost: cents that a claim holds of a budget that counts `spend`."""

    offer_id: str
    kind: str
    promotion: bool
    active: bool
    starts_at: float
    ends_at: float
    channels: frozenset[str] = frozenset()
    eligible: Callable[[Facts], bool] | None = None
    condition: Condition | None = None
    budget: Budget | None = None
    capacity: int | None = None
    max_per_customer: int | None = None
    cooldown_days: int | None = None
    max_shown: int | None = None
    exclusive_group: str | None = None
    stackable: bool = True
    priority: int = 0
    cost: int = 0

    @property
    def plain(self) -> bool:
        """Whether it has no limit that must be looked up for a customer."""
        return (self.capacity, self.budget, self.max_per_customer, self.cooldown_days, self.max_shown) == (None,) * 5


@dataclass(frozen=True, slots=True)
class Used:
    """What an offer has given out, in all or in one period: claims reserved or redeemed, and what they cost."""

    held: int = 0
    redeemed: int = 0
    held_cents: int = 0
    redeemed_cents: int = 0


@dataclass(frozen=True, slots=True)
class Person:
    """A customer, as offers look at them. karma: theirs, in [−10, 10]. held: offer → claims they hold or redeemed, and
    the epoch seconds of the newest. shown: offer → how often it was shown to them, and when last. groups: the exclusive
    groups of what they hold, each with the offer."""

    facts: Facts
    karma: float = 0.0
    held: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    shown: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opening:
    """The question. now: epoch seconds. channel: through which it goes out. kinds: only of these; empty for all.
    used: (offer, period) → what was given out."""

    now: float
    channel: str
    kinds: frozenset[str] = frozenset()
    used: Mapping[tuple[str, str], Used] = field(default_factory=dict)
    periods: Mapping[str, str] = field(default_factory=dict)


_NONE: Final = Used()


def refused(terms: Terms, person: Person, opening: Opening) -> Refusal | None:
    """Return the first ground on which an offer is not for a customer, None where there is none.

    Two hundred offers cost under a millisecond (`python -m tests.benchmarks`), so nothing is built where nothing is
    refused.
    """
    if not terms.active:
        return "inactive", "it is switched off"
    if opening.now < terms.starts_at:
        return "not_started", "its time begins later"
    if opening.now >= terms.ends_at:
        return "ended", "its time is over"
    if opening.kinds and terms.kind not in opening.kinds:
        return "other_kind", f"it is of kind {terms.kind}"
    if terms.channels and opening.channel not in terms.channels:
        return "channel", f"it goes out through {', '.join(sorted(terms.channels))}, not {opening.channel}"
    if terms.promotion and person.karma <= PAUSED_AT:
        return "paused", f"the goodwill balance is {person.karma:.1f}; promotions pause at {PAUSED_AT:g} and below"
    if terms.eligible is not None and not terms.eligible(person.facts):
        assert terms.condition is not None
        return "eligibility", conditions.failing(terms.condition, person.facts)
    return None if terms.plain else _limited(terms, person, opening)


def _limited(terms: Terms, person: Person, opening: Opening) -> Refusal | None:
    spent = exhausted(terms, opening)
    if spent is not None:
        return spent
    held, claimed_at = person.held.get(terms.offer_id, (0, 0.0))
    if terms.max_per_customer is not None and held >= terms.max_per_customer:
        return "max_per_customer", f"claimed {held} times, at most {terms.max_per_customer}"
    times, shown_at = person.shown.get(terms.offer_id, (0, 0.0))
    if terms.cooldown_days:
        last = max(claimed_at if held else 0.0, shown_at)
        if last and opening.now - last < terms.cooldown_days * DAY:
            what = "claimed" if held and claimed_at >= shown_at else "shown"
            ago = max(int((opening.now - last) // DAY), 0)
            return "cooldown", f"{what} {ago} day{'' if ago == 1 else 's'} ago, cooldown {terms.cooldown_days}"
    if terms.max_shown is not None and times >= terms.max_shown:
        return "max_shown", f"shown {times} times, at most {terms.max_shown}"
    return None


def exhausted(terms: Terms, opening: Opening) -> Refusal | None:
    """Return how an offer is used up for everybody; None where it is not."""
    if terms.capacity is not None:
        held = opening.used.get((terms.offer_id, ""), _NONE).held
        if held >= terms.capacity:
            return "capacity", f"{held} of {terms.capacity} are taken"
    budget = terms.budget
    if budget is None:
        return None
    used = opening.used.get((terms.offer_id, opening.periods.get(budget.period, "")), _NONE)
    if budget.unit == "usage":
        spent, more = (used.held if budget.counts == "issued" else used.redeemed), 1
    else:
        spent, more = (used.held_cents if budget.counts == "issued" else used.redeemed_cents), terms.cost
    if spent + more <= budget.limit:
        return None
    whole = "" if budget.period == "total" else f" of this {budget.period}"
    return "budget", f"{spent} of {budget.limit}{whole} {'are' if budget.unit == 'usage' else 'cents are'} spent"
