"""Rules on candidates and on a list in order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.concepts import GENERATORS, REASONS
from recsvc.engine import rules
from recsvc.engine.eligibility import Shelf
from recsvc.engine.filters import EVERYTHING
from recsvc.engine.lists import Listed
from recsvc.engine.reasons import Reasons
from recsvc.engine.rules import Matched, Plan, Rule, Rulebook

N = 12
ALL = np.ones(N, bool)
SHELF = Shelf(ALL, ~ALL, np.inf)


def _listed(rows: list[int], scores: list[float] | None = None) -> Listed:
    r = len(rows)
    values = np.linspace(1.0, 0.1, r) if scores is None else np.array(scores)
    plain = Reasons(
        np.zeros(r, np.uint8), np.zeros(r, np.uint8), np.arange(r, dtype=np.int32), np.full(r, 0.5, np.float32)
    )
    return Listed(np.array(rows, np.int32), values.astype(np.float32), plain)


def _book(*found: tuple[Rule, list[int]], now: float = 0.0) -> Rulebook:
    matched = [Matched(rule, np.isin(np.arange(N), rows)) for rule, rows in found]
    ahead = sorted(matched, key=lambda one: (-one.rule.priority, one.rule.rule_id))
    return rules.at(Rulebook(tuple(ahead)), now)


def _plan(*found: tuple[Rule, list[int]]) -> Plan:
    return _book(*found).plan("home")


def _rule(action: str, **more: Any) -> Rule:
    return Rule(more.pop("rule_id", "r"), more.pop("placement", None), action, EVERYTHING, **more)


def test_a_pin_takes_the_first_candidate_it_names_else_the_most_popular_item() -> None:
    plan = _plan((_rule("pin", slot=2), [3, 5, 9]))
    popular = np.array([9, 3, 5, *(row for row in range(N) if row not in {3, 5, 9})])
    assert rules.pinned(plan, np.array([1, 5, 3]), ALL, popular) == {2: 5}
    assert rules.pinned(plan, np.array([1, 2]), ALL, popular) == {2: 9}
    may = ALL.copy()
    may[[5, 9]] = False
    assert rules.pinned(plan, np.array([1, 5]), may, popular) == {2: 3}
    assert rules.pinned(plan, np.array([1]), ~ALL, popular) == {}


def test_what_no_generator_proposed_stands_there_by_the_rule() -> None:
    found, candidates = _listed([1, 2]), _listed([1, 2, 4])
    page = rules.placed(found, {1: 7, 3: 4}, candidates, slice(0, 10))
    assert page.rows.tolist() == [7, 1, 4, 2]
    named = [
        (GENERATORS[g].value, REASONS[c].value)
        for g, c in zip(page.reasons.generators, page.reasons.codes, strict=True)
    ]
    assert named[0] == ("rule", "promoted") and page.scores[0] == 0 and page.reasons.cited[0] == -1
    assert page.scores[2] == candidates.scores[2] and page.reasons.cited[2] == candidates.reasons.cited[2]


@settings(deadline=None)
@given(st.integers(0, 8), st.dictionaries(st.integers(1, 12), st.integers(100, 200), max_size=5), st.integers(1, 12))
def test_pins_stand_in_their_slots_and_pages_join(count: int, slots: dict[int, int], last: int) -> None:
    pins = {slot: 20 + at for at, slot in enumerate(sorted(slots))}
    whole = rules.placed(_listed(list(range(count))), pins, _listed([]), slice(0, 100)).rows.tolist()
    assert sorted(whole) == sorted([*range(count), *pins.values()])
    assert [row for row in whole if row < 20] == list(range(count))
    reached = [slot for slot in pins if slot <= count + len([one for one in pins if one <= slot])]
    assert all(whole[slot - 1] == pins[slot] for slot in reached)
    part = rules.placed(_listed(list(range(min(count, last)))), pins, _listed([]), slice(0, last)).rows.tolist()
    assert part == whole[:last]
    half = last // 2
    assert (
        rules.placed(_listed(list(range(min(count, last)))), pins, _listed([]), slice(half, last)).rows.tolist()
        == part[half:]
    )


def test_a_factor_lifts_whatever_the_sign_and_keeps_it() -> None:
    listed = _listed([1, 2, 3, 4], [2.0, 0.0, -1.0, -4.0])
    up = rules.weighted(listed, _plan((_rule("boost", factor=8.0), [4, 3])), 4)
    assert (up.rows.tolist(), up.scores.tolist()) == ([1, 2, 3, 4], [2.0, 0.0, -0.125, -0.5])
    down = rules.weighted(listed, _plan((_rule("bury", factor=0.25), [1, 3])), 4)
    assert (down.rows.tolist(), down.scores.tolist()) == ([1, 2, 3, 4], [0.5, 0.0, -4.0, -4.0])
    both = _plan((_rule("boost", factor=4.0), [4]), (_rule("bury", rule_id="s", factor=0.5), [4, 1]))
    assert rules.weighted(listed, both, 4).scores.tolist() == [1.0, 0.0, -1.0, -2.0]


def test_who_is_not_in_the_pool_stays_behind_it() -> None:
    up = rules.weighted(_listed([1, 2, 3, 4]), _plan((_rule("boost", factor=100.0), [2, 4])), 2)
    assert up.rows.tolist() == [2, 1, 4, 3]


def test_what_is_excluded_is_not_included() -> None:
    plan = _plan((_rule("include"), [1, 2]), (_rule("include"), [3]), (_rule("exclude"), [2, 5]))
    assert plan.allowed is not None and np.flatnonzero(plan.allowed).tolist() == [1, 3]
    assert _plan().allowed is None and not _plan().reorders


def test_a_rule_is_in_force_from_its_start_and_until_its_end() -> None:
    rule = _rule("exclude", starts_at=10.0, ends_at=20.0)
    for now, held, ahead in ((9.9, False, 10.0), (10.0, True, 20.0), (19.9, True, 20.0), (20.0, False, np.inf)):
        book = _book((rule, [1]), now=now)
        assert bool(book.plan("home").rules) == held and book.until == ahead


def test_a_rule_of_a_placement_holds_beside_those_of_all() -> None:
    book = _book((_rule("exclude"), [1]), (_rule("exclude", placement="cart"), [2]))
    allowed = [book.plan(name).allowed for name in ("home", "cart")]
    assert [np.flatnonzero(~one).tolist() for one in allowed if one is not None] == [[1], [1, 2]]


def _marks(*books: Rulebook) -> list[int]:
    return [rules.marked(book, SHELF, "").mark for book in books]


@pytest.mark.parametrize("change", [{"action": "include"}, {"factor": 3.0}, {"placement": "cart"}, {"priority": 1}])
def test_the_mark_tells_other_rules_apart(change: dict[str, Any]) -> None:
    first = {"action": "boost", "factor": 2.0}
    one, same, other = (_book((_rule(**kind), [1, 2])) for kind in (first, first, first | change))  # type: ignore[arg-type]
    marks = _marks(one, same, other, _book((_rule(**first), [1, 3])), _book())  # type: ignore[arg-type]
    assert marks[0] == marks[1] and len(set(marks)) == 4 and marks[-1] == 0


def test_the_mark_moves_with_what_a_pin_can_bring_up_and_with_no_other_stock() -> None:
    book = _book((_rule("pin", slot=1), [1]), (_rule("boost", rule_id="s", factor=2.0), [2]))
    closed = [np.arange(N) != row for row in (1, 2)]
    marks = [rules.marked(book, Shelf(is_open, ~ALL, np.inf), "").mark for is_open in (ALL, *closed)]
    assert marks[0] != marks[1] and marks[0] == marks[2]
