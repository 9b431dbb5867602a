"""Metrics and baselines against numbers worked by hand and loops that do one customer at a time."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.planted import Quiet
from training.benchmark import baselines, metrics
from training.benchmark.ids import Ids
from training.benchmark.protocols import Case, Task, Truth, check, found_in, held
from training.config import Config


def _made(rng: np.random.Generator, masked: bool, n: int = 40, c: int = 30, k: int = 5) -> tuple[Task, Truth]:
    """A task of random baskets, and a truth that overlaps with it."""
    lines = np.unique(
        np.stack([rng.integers(0, c, 600), rng.integers(0, 4, 600), rng.zipf(1.5, 600) % n], axis=1), axis=0
    )
    asked = np.unique(lines[:, 0])[::2].astype(np.int32)
    held = np.unique(np.stack([rng.integers(0, len(asked), 200), rng.integers(0, n, 200)], axis=1), axis=0)
    held = np.concatenate([held, np.stack([np.arange(len(asked)), np.full(len(asked), n)], axis=1)])
    held = held[np.argsort(held[:, 0], kind="stable")]
    customers, baskets, items = (lines[:, i].astype(np.int32) for i in range(3))
    task = Task(customers, items, None if masked else baskets, None, c, n + 1, asked, k, masked)
    return task, Truth(held[:, 0].astype(np.int32), held[:, 1].astype(np.int32))


def _loop(ranking: list[int], truth: set[int], ideal: int) -> tuple[float, float, float]:
    gains = [1 / math.log2(place + 2) if item in truth else 0.0 for place, item in enumerate(ranking)]
    best = sum(1 / math.log2(place + 2) for place in range(ideal))
    hits = sum(item in truth for item in ranking)
    return hits / len(truth), sum(gains) / best, float(hits > 0)


def test_numbers_worked_by_hand() -> None:
    truth = Truth(np.array([0, 0, 0, 1], np.int32), np.array([3, 1, 7, 2], np.int32))
    rankings = np.array([[1, 5, 3], [4, -1, -1]], np.int32)
    found = metrics.score(rankings, truth, 8, 3)
    # Hits at 1 and 3: 1 + 1/2; the ideal of three: 1 + 1/log2(3) + 1/2.
    assert found.recall.tolist() == [2 / 3, 0.0] and found.hit.tolist() == [1.0, 0.0]
    assert found.ndcg.tolist() == pytest.approx([1.5 / (1.5 + 1 / math.log2(3)), 0.0])
    # With room for two only, the ideal is cut at two, or not.
    assert metrics.score(rankings[:, :2], truth, 8, 2).ndcg[0] == pytest.approx(1 / (1 + 1 / math.log2(3)))
    assert metrics.score(rankings[:, :2], truth, 8, None).ndcg[0] == pytest.approx(1 / (1.5 + 1 / math.log2(3)))


@pytest.mark.parametrize("masked", [True, False])
def test_scores_equal_a_loop(masked: bool) -> None:
    rng = np.random.default_rng(3)
    task, truth = _made(rng, masked)
    rankings = np.stack([rng.permutation(task.item_count)[: task.k] for _ in task.asked]).astype(np.int32)
    rankings[::3, 3:] = -1
    found = metrics.score(rankings, truth, task.item_count, task.k if masked else None)
    for row, ranking in enumerate(rankings.tolist()):
        mine = set(truth.items[truth.owners == row].tolist())
        expected = _loop(ranking, mine, min(len(mine), task.k) if masked else len(mine))
        assert (found.recall[row], found.ndcg[row], found.hit[row]) == pytest.approx(expected)


def test_what_rankings_are_beside_accurate() -> None:
    # Four customers; item 0 with all, item 1 with one, item 2 with nobody.
    history = Task(
        np.arange(5, dtype=np.int32) % 4,
        np.array([0, 0, 0, 0, 1], np.int32),
        None,
        None,
        4,
        4,
        np.array([0, 1], np.int32),
        2,
        False,
    )
    found = metrics.beside(np.array([[0, 1], [2, -1]], np.int32), history, held(history))
    assert found == {"coverage": 3 / 4, "novelty": pytest.approx((0 + 2 + 2) / 3), "repeat_share": pytest.approx(2 / 3)}
    assert metrics.beside(np.full((2, 2), -1, np.int32), history, held(history)) == {
        "coverage": 0.0,
        "novelty": 0.0,
        "repeat_share": 0.0,
    }


def _case(task: Task, truth: Truth) -> Case:
    values = pa.array(range(task.item_count))
    return Case("made", task, truth, Ids(values, values.type), Ids(values, values.type), {})


def test_the_interval_is_that_of_the_normal_approximation_and_seeded() -> None:
    task, truth = _made(np.random.default_rng(5), masked=False, n=60, c=2000)
    rows = {"popularity": baselines.popularity(task), "personal": baselines.personal_frequency(task)}
    found = metrics.table(rows, "personal", _case(task, truth), seed=1)
    again = metrics.table(rows, "personal", _case(task, truth), seed=1)
    assert found == again
    assert (
        found["personal"]["ndcg@5_low"]
        != metrics.table(rows, "personal", _case(task, truth), seed=2)["personal"]["ndcg@5_low"]
    )
    for name, row in found.items():
        ndcg = metrics.score(rows[name], truth, task.item_count, None).ndcg
        half = 1.96 * ndcg.std() / math.sqrt(len(ndcg))
        assert row["ndcg@5"] == pytest.approx(ndcg.mean())
        assert row["ndcg@5_low"] == pytest.approx(ndcg.mean() - half, abs=0.25 * half)
        assert row["ndcg@5_high"] == pytest.approx(ndcg.mean() + half, abs=0.25 * half)
        assert set(row) >= {"recall@5", "phr@5", "phr@5_low", "coverage@5", "novelty@5", "repeat_share@5"}
    assert found["personal"]["lead"] == found["personal"]["lead_low"] == 0.0
    assert found["popularity"]["lead"] == pytest.approx(found["personal"]["ndcg@5"] - found["popularity"]["ndcg@5"])


@pytest.mark.parametrize("masked", [True, False])
def test_baselines_equal_a_loop(masked: bool) -> None:
    task, _ = _made(np.random.default_rng(7), masked)
    sold = Counter(task.items.tolist())
    popular, personal = baselines.popularity(task), baselines.personal_frequency(task)
    by_sales = sorted(range(task.item_count), key=lambda item: (-sold[item], item))
    for row, customer in enumerate(task.asked.tolist()):
        mine = Counter(task.items[task.customers == customer].tolist())
        allowed = [item for item in by_sales if not masked or item not in mine]
        assert popular[row].tolist() == allowed[: task.k]
        if not masked:
            own = sorted(mine, key=lambda item: (-mine[item], -sold[item], item))
            assert personal[row].tolist() == [*own, *(item for item in by_sales if item not in mine)][: task.k]


def test_short_lists_are_filled_in_their_order() -> None:
    task, _ = _made(np.random.default_rng(9), masked=True)
    full = baselines.popularity(task)
    short = full[:, ::-1].copy()
    short[:, 2:] = -1
    filled = baselines.filled(short, task)
    check("filled", filled, task, held(task))
    assert (filled[:, :2] == short[:, :2]).all() and (filled >= 0).all()
    short[:, 0] = -1
    assert (baselines.filled(short, task)[:, 0] == short[:, 1]).all()
    assert (baselines.filled(full, task) == full).all()


@pytest.mark.parametrize("masked", [True, False])
def test_plain_implicit_gives_lists_of_the_task_also_of_few_items(masked: bool) -> None:
    task, _ = _made(np.random.default_rng(11), masked)
    for one in (task, replace(task, k=100)):
        found = baselines.rankings(one, Config(), Quiet())
        expected = {"popularity", "plain implicit"} | (
            set() if masked else {"personal frequency", "plain implicit, repeats kept"}
        )
        assert set(found) == expected
        for name, rankings in found.items():
            check(name, rankings, one, held(one))
        owned: Any = found_in(held(one), one.asked, found["plain implicit"], one.item_count)
        assert not owned.any()
