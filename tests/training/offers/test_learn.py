"""The offer model on a planted shop: coffee drinkers take coffee coupons, tea drinkers tea coupons."""

from __future__ import annotations

from dataclasses import replace

import lightgbm
import numpy as np
import pyarrow as pa
import pytest

from recsvc.artifact import Array
from recsvc.engine import forest, redemption
from recsvc.engine.history import EMPTY
from training import ranker
from training.config import Config
from training.offers import calibration, mailings
from training.offers.learn import Learner, Learnt, scores
from training.offers.mailings import Mailing, Past
from training.sources import Log, from_table

DAY = 86_400
WEEKS, CUSTOMERS, ITEMS = 40, 120, 20
START = 1_700_000_000


def _log(weeks: int = WEEKS, seed: int = 3) -> Log:
    """Even customers buy items 00 to 19, odd ones 20 to 39, two a week."""
    rng = np.random.default_rng(seed)
    rows = [
        (
            f"c{who:03}",
            f"i{(who % 2) * ITEMS + what:02}",
            (START + week * 7 * DAY + who * 60) * 1_000_000,
            f"{who}-{week}",
        )
        for week in range(weeks)
        for who in range(CUSTOMERS)
        for what in rng.choice(ITEMS, 2, replace=False).tolist()
    ]
    customers, items, at, orders = (list(one) for one in zip(*rows, strict=True))
    n = len(rows)
    return from_table(
        pa.table({
            "customer_id": customers, "item_id": items, "kind": ["purchase"] * n, "occurred_at": at, "stars": [0] * n,
            "reason": pa.nulls(n, pa.string()), "order_id": orders, "quantity": [1] * n,
        }),
        {},
    )  # fmt: skip


def _mailing(week: int, seed: int) -> Mailing:
    """Ten coupons of four items; two of five customers take one of their own kind."""
    rng = np.random.default_rng(seed)
    items = [np.sort(rng.choice(ITEMS, 4, replace=False)) + side * ITEMS for side in (0, 1) for _ in range(5)]
    taken = [(who, (who % 2) * 5 + int(rng.integers(5))) for who in range(CUSTOMERS) if rng.random() < 0.4]
    start = float(START + week * 7 * DAY)
    everybody = np.arange(CUSTOMERS)
    return Mailing(f"m{week:02}", start, start + 21 * DAY, items, everybody, np.array(taken).reshape(-1, 2))


def _past(log: Log | None = None, given: list[Mailing] | None = None) -> Past:
    log = log or _log()
    groups = np.stack([np.arange(2 * ITEMS) // ITEMS] * 3, 1).astype(np.int32)
    made = [_mailing(week, week) for week in (10, 15, 20, 25, 32)]
    return mailings.past(log, made if given is None else given, groups, Config())


@pytest.fixture(scope="module")
def learner() -> Learner:
    """A learner of the planted shop."""
    return Learner(_past(), 1, 1)


def _learnt(learner: Learner, at: float) -> Learnt:
    found = learner.learn(at)
    assert found is not None
    return found


def test_offers_of_what_a_customer_takes_are_ranked_first(learner: Learner) -> None:
    last = learner.shop.mailings[-1]
    odds = scores(_learnt(learner, last.starts_at), learner.table(last))
    best = np.argsort(-odds, axis=1)[:, :5] // 5
    assert (best == (np.arange(CUSTOMERS) % 2)[:, None]).mean() > 0.98


def test_chances_of_campaigns_not_trained_on_are_those_that_come(learner: Learner) -> None:
    found = calibration.walked(learner, learner.shop.mailings[2:])
    assert 0.8 < found["ratio"] < 1.25
    assert found["log_loss"] < found["log_loss_prior"]
    assert sum(one["pairs"] for one in found["bins"]) == found["pairs"] == 3 * CUSTOMERS * 10


def test_nothing_that_comes_after_a_campaign_began_changes_what_is_said_of_it(learner: Learner) -> None:
    last = learner.shop.mailings[-1]
    week = round((last.starts_at - START) / 7 / DAY)
    said = scores(_learnt(learner, last.starts_at), learner.table(last))
    # Other purchases from then on, no redemption of it, and a campaign that follows.
    rng = np.random.default_rng(9)
    later = learner.shop.log.events.at >= last.starts_at
    moved = np.where(
        later, rng.permutation(2 * ITEMS)[learner.shop.log.events.item_rows], learner.shop.log.events.item_rows
    )
    events = replace(learner.shop.log.events, item_rows=moved.astype(np.int32))
    given = [*learner.shop.mailings[:-1], replace(last, taken=last.taken[:0]), _mailing(week + 4, 77)]
    other = Learner(_past(replace(learner.shop.log, events=events), given), 1, 1)
    assert later.any() and not np.array_equal(moved, learner.shop.log.events.item_rows)
    np.testing.assert_array_equal(said, scores(_learnt(other, last.starts_at), other.table(other.shop.mailings[-2])))


def test_a_campaign_that_has_not_ended_teaches_nothing(learner: Learner) -> None:
    last = learner.shop.mailings[-1]
    before = mailings.ended(learner.shop, last.ends_at - 1.0)
    assert last not in before
    assert last in mailings.ended(learner.shop, last.ends_at)


def test_the_same_seed_gives_the_same_arrays(learner: Learner) -> None:
    at = learner.shop.mailings[-1].starts_at
    once, again = _learnt(learner, at), _learnt(Learner(_past(), 1, 1), at)
    assert once.base == again.base
    for name, array in once.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])


def test_without_redemptions_there_is_no_model_and_the_prior_follows_own_purchases(learner: Learner) -> None:
    bare = [replace(one, taken=one.taken[:0]) for one in learner.shop.mailings]
    assert Learner(_past(given=bare), 1, 1).learn(START + WEEKS * 7 * DAY) is None
    last = learner.shop.mailings[-1]
    _, about = mailings.known(learner.shop, last.starts_at, last)
    _, history = mailings.histories(learner.shop, np.array([0]), last.starts_at)
    said = redemption.chance(redemption.prior(about, history))
    assert (said[:5] > said[5:].max()).all()
    np.testing.assert_allclose(redemption.chance(redemption.prior(about, EMPTY)), redemption.PRIOR_RATE)


def test_the_engine_says_what_lightgbm_says() -> None:
    rng = np.random.default_rng(5)
    table = rng.normal(size=(4000, 6)).astype(np.float32)
    table[rng.random(table.shape) < 0.1] = np.nan
    label = np.nan_to_num(table[:, 0]) + rng.normal(size=4000) > 1.0
    settings = {"objective": "binary", "max_depth": 4, "num_leaves": 12, "seed": 1}
    start = np.zeros(4000)
    first: lightgbm.Booster = ranker.grown(table, label, np.ones(4000), start, settings, 12, 1)
    half: Array = 0.5 * np.asarray(first.predict(table, raw_score=True))
    second = ranker.grown(table, label, np.ones(4000), half, settings, 20, 1)
    arrays = ranker.joined([(first, 0.5), (second, 1.0)])
    assert arrays is not None
    wanted = half + np.asarray(second.predict(table, raw_score=True))
    np.testing.assert_allclose(forest.predict(arrays, table), wanted, atol=1e-6)
