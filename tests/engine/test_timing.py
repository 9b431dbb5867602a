"""Timing: what the MBG/NBD model says of customers, held to customers drawn at random as it describes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from recsvc.artifact import Array
from recsvc.engine import timing
from recsvc.engine.history import DAY
from recsvc.engine.timing import Timing, Visits
from recsvc.errors import ArtifactInvalid
from training import repeats

TRUE = (1.5, 20.0, 1.0, 4.0)
NOW, LATER = 300.0, 360.0


@dataclass
class Drawn:
    """Customers up to day 300: their orders, whether they still order then, and their orders in the 60 days after."""

    visits: Visits
    active: Array
    later: Array


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    rng = np.random.default_rng(5)
    r, alpha, a, b = TRUE
    rows = []
    for _ in range(8000):
        first = float(rng.integers(0, 250))
        pace, quits = rng.gamma(r, 1.0 / alpha), rng.beta(a, b)
        at, orders, last, later, active = first, 0, first, 0, True
        while at <= LATER:
            if at <= NOW:
                orders, last = orders + 1, at
            else:
                later += 1
            if rng.random() < quits:
                active &= at > NOW
                break
            at += rng.exponential(1.0 / pace)
        rows.append((orders, first, last, active, later))
    orders, first, last, active, later = np.array(rows).T
    return Drawn(Visits(orders.astype(np.int64), first * DAY, last * DAY), active.astype(bool), later)


def _model(*visits: float) -> Timing:
    whole = timing.usual(1)
    return Timing(np.array([*visits, 1.0, 1.0 / 30.0]), whole.intervals, whole.evenness, whole.hazards)


def _of(orders: int, first: float, last: float) -> Visits:
    return Visits(np.array([orders]), np.array([first * DAY]), np.array([last * DAY]))


def test_training_finds_the_parameters_that_customers_were_drawn_with(drawn: Drawn) -> None:
    r, alpha, a, b = repeats.visit_model(drawn.visits, NOW * DAY, 1)
    assert r == pytest.approx(TRUE[0], rel=0.15) and alpha == pytest.approx(TRUE[1], rel=0.2)
    assert a / (a + b) == pytest.approx(TRUE[2] / (TRUE[2] + TRUE[3]), abs=0.03)


def test_a_chance_of_having_stopped_is_how_many_have(drawn: Drawn) -> None:
    chance = timing.alive(_model(*TRUE), drawn.visits, NOW * DAY)
    for part in np.array_split(np.argsort(chance), 5):
        assert chance[part].mean() == pytest.approx(drawn.active[part].mean(), abs=0.04)


def test_expected_orders_are_those_that_come(drawn: Drawn) -> None:
    expected = timing.per_day(_model(*TRUE), drawn.visits, NOW * DAY)
    # Some stop within the 60 days, so a little less comes.
    assert drawn.later.mean() == pytest.approx(60 * expected.mean(), rel=0.2)
    often = np.argsort(-expected)
    assert drawn.later[often[:800]].mean() > 5 * drawn.later[often[-800:]].mean()


def test_the_next_order_is_one_interval_after_the_last_and_never_past() -> None:
    model = _model(1.0, 30.0, 1.0, 20.0)
    weekly = _of(53, 0, 364)
    at = timing.next_order(model, weekly, 366 * DAY)[0] / DAY
    assert 370 < at < 373
    late = timing.next_order(model, weekly, 400 * DAY)[0] / DAY
    assert 407 < late < 410
    assert timing.mean_interval(weekly)[0] == 7.0 and np.isnan(timing.mean_interval(_of(1, 5, 5))[0])


def test_who_stays_away_longer_has_rather_stopped_and_who_never_came_is_unknown() -> None:
    model = _model(1.0, 30.0, 1.0, 20.0)
    soon, later, once = (
        timing.alive(model, visits, now * DAY)[0]
        for visits, now in ((_of(53, 0, 364), 365), (_of(53, 0, 364), 500), (_of(1, 0, 0), 365))
    )
    assert soon > 0.95 and later < 0.05 and once < soon
    nobody = _of(0, 0, 0)
    assert np.isnan(timing.alive(model, nobody, DAY)[0]) and np.isnan(timing.next_order(model, nobody, DAY)[0])
    assert timing.per_day(model, nobody, DAY)[0] == 0.0


def test_the_days_ahead_are_divided_among_the_cells_without_loss() -> None:
    days = timing.exposure(np.array([0.0, 3.0, 1000.0]), np.array([10.0, 10.0, 10.0]), 14.0)
    assert days.sum(axis=1).tolist() == [14.0, 14.0, 14.0]
    assert days[0, 0] == 0.5 and days[1, 0] == 0.0 and days[2, -1] == 14.0


def test_channels_rank_by_what_was_done_lately() -> None:
    codes, at = np.array([0, 0, 1, 2]), np.array([0.0, 0.0, 200.0, 0.0]) * DAY
    assert timing.ranked(codes, at, 200 * DAY).tolist() == [1, 0, 2]
    assert timing.ranked(np.array([], np.int64), np.array([]), 0.0).tolist() == []


def test_an_artifact_without_timing_has_what_is_usual_and_a_torn_one_is_refused() -> None:
    assert timing.of_arrays({}, 3).intervals.tolist() == [30.0] * 3
    whole = {name: getattr(timing.usual(3), field) for name, field in zip(timing.ARRAYS, Timing.__slots__, strict=True)}
    assert timing.of_arrays(whole, 3).visits[0] == 1.0
    for name in whole:
        with pytest.raises(ArtifactInvalid, match=name):
            timing.of_arrays({key: one for key, one in whole.items() if key != name}, 3)
    with pytest.raises(ArtifactInvalid, match="item_evenness"):
        timing.of_arrays(whole | {"item_evenness": np.array([0, 1, 9], np.uint8)}, 3)
