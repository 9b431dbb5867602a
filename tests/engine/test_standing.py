"""Customers' karma: each part by the arithmetic of its half-life, and what resolves it."""

from __future__ import annotations

import pytest

from recsvc.engine.standing import Told, contact_cap, customer

DAY = 86400.0
NOW = 1_000 * DAY


@pytest.mark.parametrize(
    ("told", "value"),
    [
        ([], 0.0), ([Told("complaint", NOW - 100 * DAY)], -4.0), ([Told("complaint", NOW + 1)], 0.0),
        ([Told("complaint", NOW - 9, "a"), Told("complaint_resolved", NOW - 1, "a")], 0.0),
        ([Told("complaint", NOW - 9, "a"), Told("support_resolved", NOW - 1)], 0.0),
        ([Told("complaint", NOW - 9, "a"), Told("complaint_resolved", NOW - 1, "b")], -4.0),
        ([Told("complaint", NOW - 9), Told("complaint_resolved", NOW - 10)], -4.0),
        ([Told("nps", NOW, None, 6)], -3.0), ([Told("nps", NOW, None, 7)], 0.0), ([Told("csat", NOW, None, 2)], -3.0),
        ([Told("csat", NOW, None, 3)], 0.0), ([Told("ces", NOW, None, 6)], -3.0), ([Told("ces", NOW, None, 5)], 0.0),
        ([Told("nps", NOW - 30 * DAY, None, 0)], -1.5), ([Told("delivery_late", NOW - 60 * DAY)], -0.5),
        ([Told("delivery_late", NOW - 9, "p"), Told("support_resolved", NOW - 1, "p")], 0.0),
        ([Told("complaint", NOW - n) for n in range(5)], -10.0), ([Told("nps", NOW - 365 * DAY, None, 0)], 0.0),
    ],
)  # fmt: skip
def test_each_thing_counts_as_it_should(told: list[Told], value: float) -> None:
    assert customer(told, NOW).value == pytest.approx(value, abs=1e-3)


def test_the_cap_on_contacts_is_halved_while_promotions_pause() -> None:
    let_down, fine = customer([Told("complaint", NOW - 1)], NOW), customer([], NOW)
    assert [contact_cap(cap, let_down) for cap in (None, 0, 1, 2, 5)] == [None, 0, 1, 1, 3]
    assert contact_cap(5, fine) == 5 and let_down.open_complaint and not fine.open_complaint
