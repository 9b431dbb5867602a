"""Rules: what a merchandiser decided for a placement, and what that makes of candidates and of a list in order.

`exclude` takes items away and `include` leaves only what one of the includes names; both act before candidates are
made, so that a list is as long with them as without. `boost` and `bury` multiply the score of candidates. `pin` puts
one item into a slot, whoever asks. Nothing brings up what may not be shown: out of stock, closed, sensitive, banned,
left out by the caller or turned down by the customer.

A factor makes a score above 0 so many times as high; one below 0, whose distance to 0 is its rank, is divided by it, so
that a boost always lifts and nothing changes its sign. Rules stand in order of priority, highest first, then of id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import GENERATORS, Generator, Reason
from recsvc.engine import filters
from recsvc.engine.eligibility import Shelf
from recsvc.engine.filters import Filter
from recsvc.engine.lists import Listed
from recsvc.engine.reasons import CODE, Reasons
from recsvc.engine.traits import Item, Traits

# Beyond this many items that changed, all are looked at anew at once.
_FEW = 200


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as it was decided. placement: None for every one. factor: of a boost or bury, > 0. slot: of a pin, from 1.
    starts_at, ends_at: epoch seconds; the end itself is over."""

    rule_id: str
    placement: str | None
    action: str
    match: Filter
    factor: float = 1.0
    slot: int = 0
    starts_at: float = -np.inf
    ends_at: float = np.inf
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Matched:
    """A rule, and the items it is about: (n,) bool."""

    rule: Rule
    items: Array


@dataclass(frozen=True, slots=True)
class Plan:
    """What holds in one placement at one moment, for the n items of a model.

    rules: those in force, in order. filtered: (n,) bool, what the placement's own filter lets through; allowed: what
    it and the rules do; factors: (n,) float32 of boosts and buries. None where there is nothing of the kind.
    """

    rules: tuple[Matched, ...] = ()
    filtered: Array | None = None
    allowed: Array | None = None
    factors: Array | None = None

    @property
    def pins(self) -> tuple[Matched, ...]:
        """The pins, in order."""
        return tuple(one for one in self.rules if one.rule.action == "pin")

    @property
    def reorders(self) -> bool:
        """Whether the order of candidates is not the order of slots."""
        return self.factors is not None or bool(self.pins)


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All rules that have not ended, in order, and what they make of each placement now.

    plans: by placement; under None what holds where a placement has nothing of its own. until: epoch seconds at which
    a rule starts or ends; infinity when none will. mark: another number where lists may come out otherwise; 0 without
    any rules.
    """

    matched: tuple[Matched, ...] = ()
    filtered: Mapping[str, tuple[Filter, Array]] | None = None
    plans: Mapping[str | None, Plan] | None = None
    until: float = np.inf
    mark: int = 0

    def plan(self, placement: str) -> Plan:
        """Return what holds in a placement."""
        plans = self.plans or {}
        return plans.get(placement) or plans.get(None) or Plan()


def book(rules: Iterable[Rule], wanted: Mapping[str, Filter], traits: Traits, now: float) -> Rulebook:
    """Return the book of rules for the items of a model.

    Args:
        wanted: placement → the filter of its settings.
        now: epoch seconds.
    """
    ahead = sorted((one for one in rules if one.ends_at > now), key=lambda one: (-one.priority, one.rule_id))
    matched = tuple(Matched(one, filters.mask(one.match, traits)) for one in ahead)
    filtered = {name: (one, filters.mask(one, traits)) for name, one in wanted.items() if one != filters.EVERYTHING}
    return at(Rulebook(matched, filtered), now)


def renewed(old: Rulebook, traits: Traits, changed: Sequence[str], items: Mapping[str, Item], now: float) -> Rulebook:
    """Return the book for the same rules and a newer catalogue.

    Args:
        traits: of the newer catalogue.
        changed: the ids that differ, all of them in the model.
        items: the newer catalogue's.
    """
    if not old.matched and not old.filtered:
        return at(old, now)
    where = np.array([traits.rows[one] for one in changed], np.int64)

    def again(wanted: Filter, known: Array) -> Array:
        """Return the mask of a filter: the known one itself where nothing in it changes."""
        if len(changed) > _FEW:
            return filters.mask(wanted, traits)
        held = np.array([one in items and filters.matches(wanted, items[one]) for one in changed], bool)
        if np.array_equal(held, known[where]):
            return known
        fresh = known.copy()
        fresh[where] = held
        return fresh

    masks = [again(one.rule.match, one.items) for one in old.matched]
    filtered = {name: (wanted, again(wanted, known)) for name, (wanted, known) in (old.filtered or {}).items()}
    same = all(mask is one.items for mask, one in zip(masks, old.matched, strict=True))
    if same and all(filtered[name][1] is known for name, (_, known) in (old.filtered or {}).items()):
        return old if now < old.until else at(old, now)
    matched = tuple(replace(one, items=mask) for mask, one in zip(masks, old.matched, strict=True))
    return at(Rulebook(matched, filtered), now)


def at(old: Rulebook, now: float) -> Rulebook:
    """Return the book with the plans of the moment `now` (epoch seconds)."""
    active = [one for one in old.matched if one.rule.starts_at <= now < one.rule.ends_at]
    filtered = {name: known for name, (_, known) in (old.filtered or {}).items()}
    names: set[str | None] = {None, *filtered, *(one.rule.placement for one in active)}
    plans = {name: _plan(active, name, filtered.get(name) if name is not None else None) for name in names}
    edges = [edge for one in old.matched for edge in (one.rule.starts_at, one.rule.ends_at) if edge > now]
    return replace(old, plans=plans, until=min(edges, default=np.inf))


def marked(book: Rulebook, shelf: Shelf, settings: str) -> Rulebook:
    """Return the book with its mark, which is the same in every process that has the same rules, items and moment.

    Args:
        shelf: what may be shown; a pin counts only with what it can bring up.
        settings: those of the placements, as text.
    """
    if not book.matched and not settings:
        return replace(book, mark=0)
    digest = hashlib.blake2b(settings.encode(), digest_size=6)
    for placement in sorted(book.plans or {}, key=lambda name: (name is not None, name)):
        plan = book.plan(placement or "")
        for one in plan.rules:
            items = one.items & shelf.public if one.rule.action == "pin" else one.items
            digest.update(repr((placement, replace(one.rule, match=filters.EVERYTHING))).encode())
            digest.update(np.packbits(items).tobytes())
        if plan.filtered is not None:
            digest.update(np.packbits(plan.filtered).tobytes())
    return replace(book, mark=int.from_bytes(digest.digest(), "big"))


def weighted(listed: Listed, plan: Plan, pool: int) -> Listed:
    """Return candidates after boosts and buries; ties keep their order, and who is not among the first `pool` stays
    behind those."""
    if plan.factors is None:
        return listed
    factors = plan.factors[listed.rows]
    scores = np.where(listed.scores > 0, listed.scores * factors, listed.scores / factors).astype(np.float32)
    behind = np.arange(len(scores)) >= pool
    return replace(listed, scores=scores).take(np.lexsort((-scores, behind)))


def pinned(plan: Plan, rows: Array, may: Array, by_popularity: Array) -> dict[int, int]:
    """Return slot → the item row that is pinned to it.

    Of the items a pin names and that may be shown the first of the candidates is taken, else the most popular one; no
    item twice. Where two pins want a slot the first in order has it, and the other has none.

    Args:
        rows: (r,) the candidates, best first.
        may: (n,) bool, what may be shown to this customer now.
        by_popularity: (n,) all rows, most popular first.
    """
    found: dict[int, int] = {}
    for one in plan.pins:
        if one.rule.slot in found:
            continue
        free = one.items & may
        free[list(found.values())] = False
        if free.any():
            among = rows[free[rows]]
            found[one.rule.slot] = int(among[0] if len(among) else by_popularity[np.argmax(free[by_popularity])])
    return found


def placed(found: Listed, pins: Mapping[int, int], candidates: Listed, page: slice) -> Listed:
    """Return a page of a list with the pinned items in their slots.

    Where the list is too short to reach a pin's slot, the pin stands behind what there is. An item that no generator
    proposed has the score 0 and the reason `promoted`; one that was keeps its own.

    Args:
        found: slots 1 to the last of the page, or all there are, without the pinned.
        pins: slot → item row.
        candidates: all of them, with the pinned.
    """
    slots = sorted(pins)
    order = _slotted(slots, len(found.rows), page.stop)
    joined = _joined(found, _promoted([pins[slot] for slot in slots], candidates))
    return joined.take(np.array(order[page], np.int64))


def _slotted(slots: list[int], count: int, last: int) -> list[int]:
    """Return who stands in slots 1 to `last`: 0 to count − 1 of the list, and from `count` on the pinned."""
    found: list[int] = []
    at = pin = 0
    while len(found) < last and (at < count or pin < len(slots)):
        if pin < len(slots) and (slots[pin] <= len(found) + 1 or at == count):
            found.append(count + pin)
            pin += 1
        else:
            found.append(at)
            at += 1
    return found


def _promoted(rows: list[int], candidates: Listed) -> Listed:
    """Return items as their generator proposed them, else as the rule brings them up."""
    place = {row: at for at, row in enumerate(candidates.rows.tolist())}
    p = len(rows)
    fresh = Listed(
        np.array(rows, np.int32), np.zeros(p, np.float32),
        Reasons(
            np.full(p, GENERATORS.index(Generator.RULE), np.uint8), np.full(p, CODE[Reason.PROMOTED], np.uint8),
            np.full(p, -1, np.int32), np.ones(p, np.float32),
        ),
    )  # fmt: skip
    both = _joined(candidates, fresh)
    return both.take(np.array([place.get(row, len(candidates.rows) + at) for at, row in enumerate(rows)], np.int64))


def _joined(one: Listed, other: Listed) -> Listed:
    """Return two lists, one behind the other; where one of them knows of chance, the other left nothing to it."""

    def both(a: Array, b: Array) -> Array:
        return np.concatenate([a, b])

    r, s = one.reasons, other.reasons
    chances = one.propensities
    if chances is not None:
        chances = both(chances, np.ones(len(other.rows)))
    return Listed(
        both(one.rows, other.rows), both(one.scores, other.scores),
        Reasons(both(r.generators, s.generators), both(r.codes, s.codes), both(r.cited, s.cited),
                both(r.shares, s.shares)), chances,
    )  # fmt: skip


def _plan(active: list[Matched], placement: str | None, filtered: Array | None) -> Plan:
    mine = tuple(one for one in active if one.rule.placement is None or one.rule.placement == placement)
    parts = [] if filtered is None else [filtered]
    parts += [~one.items for one in mine if one.rule.action == "exclude"]
    included = [one.items for one in mine if one.rule.action == "include"]
    if included:
        parts.append(np.logical_or.reduce(included))
    factors = None
    for one in mine:
        if one.rule.action in {"boost", "bury"}:
            factors = np.ones(len(one.items), np.float32) if factors is None else factors
            np.multiply(factors, np.float32(one.rule.factor), out=factors, where=one.items)
    return Plan(mine, filtered, np.logical_and.reduce(parts) if parts else None, factors)
