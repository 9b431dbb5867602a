"""No customer, and no hundred made-up ones, moves other people's lists; and two trainings make the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from recsvc.store import database, facts, interactions
from tests.market import DAY, NOW, Row, overlap, row, share, shoppers, trained
from tests.planted import interaction
from training.config import Config

CONFIG = Config.model_validate({"als": {"factors": 32, "iterations": 5}, "threads": 1})


def _busy(items: int) -> list[Row]:
    """One customer's 100,000 purchases in 20 days, of everything."""
    rng = np.random.default_rng(8)
    where, days = rng.integers(items, size=100_000), rng.integers(0, 20 * DAY, 100_000)
    return [row("busy", f"i{where[n]}", int(NOW - days[n]), f"b{n // 10}") for n in range(100_000)]


def _pushing(basket: list[str]) -> list[Row]:
    """A hundred made-up customers who each bought one item and the same basket."""
    rng = np.random.default_rng(9)
    days = rng.integers(0, 120 * DAY, 100)
    return [row(f"s{n}", i, int(NOW - days[n]), f"s{n}") for n in range(100) for i in ("pushed", *basket)]


def test_one_customer_with_a_hundred_thousand_events_does_not_move_the_others() -> None:
    names = [f"c{n}" for n in range(300)]
    base = shoppers(names, 160, 1)
    before = trained(base, CONFIG)
    # In so small a market one ordinary customer more changes which are asked to choose the order, and 0.17 of the lists.
    ordinary = overlap(before, trained(base + shoppers(["busy"], 160, 91), CONFIG), names)
    busy = trained(base + _busy(160), CONFIG)
    assert overlap(before, busy, names) >= ordinary - 0.05
    # Of one item they have one sale a day, in however many orders.
    assert busy.matrix.sale_orders.max() < 60


@pytest.mark.slow
def test_the_lists_of_a_real_sized_market_hold_still() -> None:
    """2,000 customers, 800 items. As a yardstick, 100 more ordinary customers leave 0.92 of the lists as they were;
    the busy one and the made-up ones may move 0.05 more."""
    names = [f"c{n}" for n in range(2000)]
    base = shoppers(names, 800, 1)
    before = trained(base, CONFIG)
    honest_buyers = np.random.default_rng(5).choice(names, 100, replace=False)
    honest = [row(one, "honest", NOW - n * DAY, f"h{n}") for n, one in enumerate(honest_buyers)]
    fair = share(trained(base + honest, CONFIG), "honest", names)
    assert overlap(before, trained(base + _busy(800), CONFIG), names) >= 0.87
    for basket in ([f"i{n}" for n in range(37, 800, 99)], [f"i{100 * d + n}" for d in range(8) for n in range(2)]):
        after = trained(base + _pushing(basket), CONFIG)
        assert overlap(before, after, names) >= 0.87
        assert share(after, "pushed", names) <= max(fair, 0.002)


def test_two_trainings_in_two_places_make_the_same_bytes(tmp_path: Path) -> None:
    """With the ranker, on two threads, in two processes that hash differently; the store is the same."""
    engine = database.connect(f"sqlite:///{tmp_path / 'recsvc.db'}")
    database.migrate(engine)
    facts.ensure(engine)
    rows = shoppers([f"c{n}" for n in range(200)], 80, 2)
    interactions.append_many(engine, [
        interaction(one[0], one[1], one[2], datetime.fromtimestamp(one[3] / 1e6, UTC), order_id=one[6]) for one in rows
    ])  # fmt: skip
    engine.dispose()
    (tmp_path / "training.yaml").write_text("{als: {factors: 16, iterations: 4}, threads: 2}")
    first, second = (_arrays(tmp_path, tmp_path / name, name) for name in ("1", "2"))
    assert "forest_leaves.npy" in first and first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def _arrays(home: Path, artifacts: Path, seed: str) -> dict[str, bytes]:
    """Train in a process of its own; the bytes of every array it published."""
    variables = {"RECSVC_HOME": str(home), "RECSVC_ARTIFACTS": str(artifacts), "PYTHONHASHSEED": seed}
    subprocess.run(
        [sys.executable, "-m", "training", "train", "--config", str(home / "training.yaml")],
        env={**os.environ, **variables}, check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    return {path.name: path.read_bytes() for path in artifacts.glob("2*/*.npy")}
