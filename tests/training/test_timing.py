"""Timing: where habits change old visits say little, where they do not every visit says as much."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.engine.history import DAY
from tests.market import NOW, Row, row, table
from training import matrix, timing
from training.config import VISIT_DECAY, Config
from training.holdout import hold_out
from training.sources import Log, from_table

VISITS = 24


def _shop(changing: bool) -> Log:
    """200 customers with five habits each, of which a visit buys some; where they change, every eight visits anew."""
    rng = np.random.default_rng(3)
    rows: list[Row] = []
    for customer in range(200):
        for visit in range(VISITS):
            if visit == 0 or (changing and visit % 8 == 0):
                habits = rng.choice(60, 5, replace=False)
                odds = rng.uniform(0.2, 0.9, 5)
            at = NOW - (VISITS - visit) * 7 * int(DAY) * 1_000_000
            basket = habits[rng.random(5) < odds].tolist() or [int(habits[0])]
            rows += [row(f"c{customer}", f"i{n}", at, f"{customer}-{visit}") for n in basket]
    return from_table(table(rows), {})


def _decay(log: Log, config: Config) -> float | None:
    held = hold_out(log, config.holdout, config.split.min_customers, config.seed)
    return timing.fitted(config, held).history.visit_decay


def test_the_decay_is_the_shops() -> None:
    fast, slow = (_decay(_shop(changing), Config()) for changing in (True, False))
    assert fast in timing.DECAYS and slow in timing.DECAYS
    assert fast < slow and slow >= 0.97


def test_a_decay_that_is_given_stays_and_without_a_hold_out_there_is_one() -> None:
    given = Config.model_validate({"history": {"visit_decay": 0.5}})
    assert timing.fitted(given, None) is given
    assert timing.fitted(Config(), None).history.visit_decay is None
    built = matrix.build(_shop(False), Config())
    assert built.decay.visit_decay == VISIT_DECAY


def test_the_rate_of_an_item_is_shrunk_to_its_group() -> None:
    """Two items that one customer bought once: the one in the group of what all buy again is expected again sooner."""
    rows = [row(f"c{n}", "often", NOW - visit * int(DAY) * 1_000_000, None) for n in range(50) for visit in range(9)]
    rows += [row(f"c{n}", "once", NOW - 8 * int(DAY) * 1_000_000, None) for n in range(50)]
    rows += [row("c0", name, NOW - 8 * int(DAY) * 1_000_000, None) for name in ("like often", "like once")]
    log = from_table(table(rows), {})
    built = matrix.build(log, Config())
    group = np.array([{"often": 0, "like often": 0, "once": 1, "like once": 1}[one] for one in log.item_ids])
    rate = dict(zip(log.item_ids, matrix.traits(built, group)[:, 3].tolist(), strict=True))
    alone = dict(zip(log.item_ids, matrix.traits(built)[:, 3].tolist(), strict=True))
    assert alone["like often"] == pytest.approx(alone["like once"])
    assert rate["like often"] > 2 * rate["like once"] and rate["often"] > 0.9


def test_a_shop_of_few_visits_each_has_a_decay_too() -> None:
    rows = [
        row(f"c{n}", f"i{(n + visit // 2) % 9}", NOW - visit * int(DAY) * 1_000_000, None)
        for n in range(60) for visit in range(2 + n % 2)
    ]  # fmt: skip
    assert _decay(from_table(table(rows), {}), Config()) in timing.DECAYS
