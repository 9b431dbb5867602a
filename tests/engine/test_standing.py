"""A customer's karma, by hand: what counts, for how long, and what makes it good."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsvc.engine.standing import NEUTRAL, Answer, Happened, Standing, contact_cap, customer

DAY = 86400.0
NOW = 1_800_000_000.0
KINDS = ("complaint", "delivery_late", "complaint_resolved", "support_resolved", "return", "purchase")


def _value(*happened: Happened, answers: tuple[Answer, ...] = ()) -> float:
    return customer(list(happened), list(answers), NOW).value


def test_who_has_nothing_stands_at_zero() -> None:
    assert customer([], [], NOW) == NEUTRAL


def test_a_complaint_counts_whole_until_it_is_resolved() -> None:
    old = Happened("complaint", NOW - 300 * DAY, "t1")
    open_ = customer([old], [], NOW)
    assert open_.value == -4.0 and open_.open_complaint and open_.paused
    closed = customer([old, Happened("complaint_resolved", NOW - DAY, "t1")], [], NOW)
    assert closed.value == 0.0 and not closed.open_complaint and not closed.paused
    assert [(one.code, one.points, one.resolved_at) for one in closed.parts] == [("complaint", 0.0, NOW - DAY)]


def test_a_complaint_with_a_ref_is_resolved_by_no_other_ref_and_one_without_by_any() -> None:
    named, plain = Happened("complaint", NOW - 9 * DAY, "t1"), Happened("complaint", NOW - 9 * DAY)
    assert _value(named, Happened("support_resolved", NOW, "t2")) == -4.0
    assert _value(named, Happened("support_resolved", NOW - 10 * DAY, "t1")) == -4.0
    assert _value(named, Happened("support_resolved", NOW)) == 0.0
    assert _value(named, Happened("support_resolved", NOW, "t1")) == 0.0
    assert _value(plain, Happened("support_resolved", NOW, "t2")) == 0.0
    assert _value(plain, Happened("complaint_resolved", NOW)) == 0.0


def test_what_was_resolved_and_came_again_is_open() -> None:
    first, second = Happened("complaint", NOW - 9 * DAY, "t1"), Happened("complaint", NOW - DAY, "t1")
    assert _value(first, second, Happened("complaint_resolved", NOW - 5 * DAY, "t1")) == -4.0
    # Told twice it is one complaint.
    assert _value(first, second) == -4.0


def test_a_late_delivery_fades_by_half_in_thirty_days_and_ends_with_its_resolution() -> None:
    late = Happened("delivery_late", NOW - 30 * DAY, "o1")
    assert _value(late) == pytest.approx(-1.0)
    assert _value(late, Happened("support_resolved", NOW, "o2")) == pytest.approx(-1.0)
    assert _value(late, Happened("support_resolved", NOW, "o1")) == 0.0
    assert _value(Happened("delivery_late", NOW, "o1")) == -2.0


@pytest.mark.parametrize(
    ("kind", "bad", "good", "code"),
    [("nps", 6, 7, "detractor"), ("csat", 2, 3, "low_satisfaction"), ("ces", 6, 5, "hard_effort")],
)
def test_an_unhappy_answer_counts_and_fades(kind: str, bad: int, good: int, code: str) -> None:
    found = customer([], [Answer(kind, bad, NOW)], NOW)
    assert found.value == -3.0 and [one.code for one in found.parts] == [code] and not found.open_complaint
    assert _value(answers=(Answer(kind, bad, NOW - 60 * DAY),)) == pytest.approx(-0.75)
    assert _value(answers=(Answer(kind, good, NOW),)) == 0.0


def test_the_latest_answer_about_one_thing_counts() -> None:
    low = Answer("nps", 2, NOW - DAY, "o1")
    assert _value(answers=(Answer("nps", 9, NOW, "o1"), low)) == 0.0
    assert _value(answers=(Answer("nps", 9, NOW, "o2"), low)) == pytest.approx(-3.0 * 0.5 ** (1 / 30))


def test_a_return_says_nothing_of_the_customer() -> None:
    assert customer([Happened("return", NOW), Happened("purchase", NOW)], [], NOW) == NEUTRAL


def test_at_minus_two_promotions_pause_and_contacts_are_halved_rounded_up() -> None:
    assert [contact_cap(cap, Standing(-2.0)) for cap in (0, 1, 3, 4, None)] == [0, 1, 2, 2, None]
    assert [contact_cap(cap, Standing(-1.99)) for cap in (0, 1, 3, 4, None)] == [0, 1, 3, 4, None]


_events = st.lists(
    st.builds(Happened, st.sampled_from(KINDS), st.floats(0, NOW + DAY), st.sampled_from([None, "a", "b"])), max_size=30
)
_answers = st.lists(
    st.builds(Answer, st.sampled_from(["nps", "csat", "ces"]), st.integers(1, 5), st.floats(0, NOW)), max_size=10
)


@given(_events, _answers, st.randoms())
def test_it_is_never_beyond_ten_nor_above_zero_and_the_order_told_is_none(
    happened: list[Happened], answers: list[Answer], random: object
) -> None:
    found = customer(happened, answers, NOW)
    assert -10.0 <= found.value <= 0.0
    assert found.open_complaint <= found.paused
    random.shuffle(happened)  # type: ignore[attr-defined]
    assert customer(happened, answers, NOW).value == pytest.approx(found.value)
