"""The comparison with other libraries: scored as the benchmark scores, a tie called a tie; and the scale's exponent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.benchmarks import rivals, rivals_data, scale
from training.benchmark import metrics, protocols


def _baskets(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    table = pa.table({
        "customer_id": rng.integers(0, 60, 3000), "basket": rng.integers(0, 8, 3000), "item_id": rng.integers(0, 90, 3000),
    })  # fmt: skip
    pq.write_table(table, folder / "baskets.parquet")
    return folder / "baskets.parquet"


def test_a_list_gets_the_score_that_the_benchmark_gives_it(tmp_path: Path) -> None:
    path = _baskets(tmp_path)
    task, case = rivals_data.next_basket(path), protocols.next_basket(path)
    lists = np.random.default_rng(1).permuted(np.tile(np.arange(len(task.items)), (len(task.asked), 1)), axis=1)[:, :10]
    theirs = metrics.score(lists.astype(np.int32), case.truth, case.task.item_count, None)
    np.testing.assert_array_equal(task.asked, case.task.asked)
    np.testing.assert_allclose(rivals_data.score(task, lists), np.stack([theirs.recall, theirs.ndcg], 1))


def test_equal_lists_tie_and_better_ones_are_ahead(tmp_path: Path) -> None:
    task = rivals_data.next_basket(_baskets(tmp_path))
    none = np.full((len(task.asked), task.k), -1)
    right = none.copy()
    for row, customer in enumerate(task.asked):
        found = task.truth.item[task.truth.customer == customer][: task.k]
        right[row, : len(found)] = found
    results = rivals.compare(task, {"recsvc": right, "same": right, "worse": none})
    assert results["same"]["recall@10_verdict"] == "tie" and results["same"]["ndcg@10_lead"] == 0
    assert results["worse"]["recall@10_verdict"] == results["worse"]["ndcg@10_verdict"] == "ahead"
    assert rivals.compare(task, {"recsvc": none, "better": right})["better"]["recall@10_verdict"] == "behind"


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_the_exponent_is_the_slope_of_the_logarithms(power: float) -> None:
    assert scale.exponent({size: 3.0 * size**power for size in (1_000, 5_000, 20_000)}) == pytest.approx(power)
