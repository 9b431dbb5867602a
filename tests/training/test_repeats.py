"""Repeats: a planted shop in which one item is bought every four weeks, one by chance, and one never again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsvc.engine import repeat, timing
from recsvc.engine.eligibility import Shelf
from recsvc.engine.history import DAY, History
from recsvc.engine.model import Model
from recsvc.engine.repeat import Wanted
from tests.market import NOW, Row, row, table
from training import fit, matrix, repeats
from training.config import Config
from training.matrix import Matrix
from training.sources import Log, from_table

WEEKS, CUSTOMERS = 52, 150
CONFIG = Config.model_validate({"als": {"factors": 4, "iterations": 2}, "threads": 1})


def _log(until_week: int = WEEKS) -> Log:
    """Weekly visits: lenses every fourth week, of each customer in another, milk in one of three by chance, a fridge
    once, and something of forty others."""
    rng = np.random.default_rng(11)
    rows: list[Row] = []
    for customer in range(CUSTOMERS):
        for week in range(WEEKS):
            day = NOW // 86_400_000_000 - (WEEKS - week) * 7 + customer % 7
            basket = [f"i{int(rng.integers(40))}"]
            basket += ["lenses"] if (week + customer) % 4 == 0 else []
            basket += ["milk"] if rng.random() < 1 / 3 else []
            basket += ["fridge"] if week == 20 + customer % 20 else []
            if week < until_week:
                rows += [row(f"c{customer}", one, day * 86_400_000_000, f"{customer}-{week}") for one in basket]
    return from_table(table(rows), {})


@pytest.fixture(scope="module")
def shop() -> tuple[Model, Matrix, Log]:
    log = _log()
    built, arrays = fit.arrays(log, CONFIG)
    arrays |= repeats.learnt(log, built, CONFIG)
    found = fit.without_customers(arrays, 1)
    return fit.assemble("", found, fit.parameters(built, CONFIG, dict(CONFIG.blend))), built, log


def _open(model: Model) -> Shelf:
    return Shelf(np.ones(model.n_items, bool), np.zeros(model.n_items, bool), np.inf)


def _again(model: Model, history: History, now: float, **asked: float) -> dict[str, tuple[float, float, float]]:
    """Return item_id → p_due, interval_days and due_at of what is listed."""
    found = repeat.buy_again(model, history, _open(model), now, Wanted(100, **asked))
    columns = (found.p_due, found.interval_days, found.due_at)
    return {model.item_ids[r]: tuple(map(float, one)) for r, *one in zip(found.rows, *columns, strict=True)}


def _last(model: Model, history: History, item_id: str) -> float:
    return float(history.last_at[np.searchsorted(history.item_rows, model.rows[item_id])])


def test_an_even_habit_is_quiet_before_its_time_and_first_when_it_comes(shop: tuple[Model, Matrix, Log]) -> None:
    model, built, _ = shop
    assert model.timing.evenness[model.rows["lenses"]] == 0 and model.timing.evenness[model.rows["milk"]] > 0
    history = built.of(0)
    last = _last(model, history, "lenses")
    bought, due = last + 2 * DAY, last + 26 * DAY
    assert "lenses" not in _again(model, history, bought, within_days=7)
    assert _again(model, history, bought, within_days=7, min_p=0.0)["lenses"][0] < 0.02
    soon = _again(model, history, due, within_days=7)
    assert next(iter(soon)) == "lenses" and soon["lenses"][0] > 0.5
    assert soon["lenses"][1] == pytest.approx(28, abs=1) and soon["lenses"][2] == pytest.approx(
        last + 28 * DAY, abs=DAY
    )


def test_more_days_mean_a_higher_chance_and_what_chance_decides_is_never_quiet(shop: tuple[Model, Matrix, Log]) -> None:
    model, built, _ = shop
    history = built.of(3)
    now = _last(model, history, "milk") + 2 * DAY
    chances = [_again(model, history, now, within_days=days, min_p=0.0)["milk"][0] for days in (1, 7, 14, 60)]
    assert chances == sorted(chances) and chances[1] > 0.15 and chances[3] > 0.9


def test_what_nobody_buys_twice_is_not_listed_nor_what_the_catalogue_says_so_of(
    shop: tuple[Model, Matrix, Log],
) -> None:
    model, built, _ = shop
    history = built.of(0)
    now = float(history.last_at.max()) + DAY
    assert "fridge" not in _again(model, history, now) and "milk" in _again(model, history, now)
    never = np.array([model.rows["milk"]])
    found = repeat.buy_again(model, history, _open(model), now, Wanted(100, 14, 0.0, never))
    assert model.rows["milk"] not in found.rows and model.rows["fridge"] in found.rows


def test_what_was_sent_back_is_quiet_until_it_is_bought_again(shop: tuple[Model, Matrix, Log]) -> None:
    model, built, _ = shop
    history = built.of(0)
    at = np.searchsorted(history.item_rows, model.rows["milk"])
    now = float(history.last_at.max()) + DAY
    back = history.returned_at.copy()
    back[at] = history.last_at[at] + 3600
    assert "milk" not in _again(model, replace(history, returned_at=back), now, min_p=0.0)
    back[at] = history.last_at[at] - 3600
    assert "milk" in _again(model, replace(history, returned_at=back), now, min_p=0.0)


def test_the_chance_is_how_often_it_happens() -> None:
    """Fitted on all but the newest two weeks, held to these."""
    log = _log()
    test = float(log.events.at.max()) + 1.0 - 14 * DAY
    before = log.between(0, test)
    built, arrays = fit.arrays(before, CONFIG)
    arrays |= repeats.learnt(before, built, CONFIG)
    model = fit.assemble("", fit.without_customers(arrays, 1), fit.parameters(built, CONFIG, dict(CONFIG.blend)))
    found = repeats.measured(model, built, CONFIG, log, test)
    bins, again = found["calibration"], found["again"]
    assert len(bins) == 10 and bins[-1]["predicted"] > 0.3 and bins[0]["predicted"] < 0.05
    for one in bins:
        assert one["observed"] == pytest.approx(one["predicted"], abs=0.12)
    assert again["p_due"]["ndcg@10"] > again["rate"]["ndcg@10"] + 0.02


def test_a_shop_without_enough_days_has_the_usual_table() -> None:
    log = from_table(table([row(f"c{n}", "milk", NOW, f"o{n}") for n in range(5)]), {})
    built = matrix.build(log, CONFIG)
    found = repeats.learnt(log, built, CONFIG)
    usual = timing.usual(1)
    assert np.array_equal(found["repeat_hazards"], usual.hazards) and np.array_equal(found["visit_model"], usual.visits)
    assert found["item_intervals"].tolist() == [30.0]


def test_a_cancelled_order_is_no_order_and_no_sale() -> None:
    day = 86_400_000_000
    rows = [row("a", "milk", NOW - 20 * day, "1"), row("a", "milk", NOW - 10 * day, "2"), row("b", "milk", NOW, "3")]
    kept = from_table(table(rows[:1] + rows[2:]), {})
    undone = from_table(table([*rows, row("a", "milk", NOW - 9 * day, "2", "cancel")]), {})
    one, other = (matrix.build(log, CONFIG) for log in (kept, undone))
    for name in ("orders", "first_at", "last_at", "bought_visits", "last_visit"):
        assert np.array_equal(getattr(one.history, name), getattr(other.history, name)), name
    assert other.sale_orders.sum() == one.sale_orders.sum() == 2
    # Without an order's number the newest one before it was meant; an order of which something stays is one.
    unnamed = from_table(table([*rows, row("a", "milk", NOW - 9 * day, None, "cancel")]), {})
    assert unnamed.events.purchases.sum() == 2
    three = [*rows[:1], (*rows[1][:-1], 3), rows[2], row("a", "milk", NOW - 9 * day, "2", "cancel")]
    assert from_table(table(three), {}).events.purchases.sum() == 3
