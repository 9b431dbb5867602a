"""The command from end to end with a simple recipe: the table, the files, the errors."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsvc.errors import InvalidRequest
from tests.planted import Quiet
from training.benchmark import baselines, command
from training.benchmark.protocols import Rankings, Task
from training.benchmark.run import cpu_seconds, peak_memory_mb
from training.config import Config
from training.progress import Progress


def _recipe(task: Task, config: Config, progress: Progress) -> Rankings:
    """Popularity as one row, and the same cut to three items as the one that is chosen."""
    progress.step("a simple recipe", 1)
    whole = baselines.popularity(task)
    cut = np.where(np.arange(task.k) < 3, whole, -1).astype(np.int32)
    return Rankings({"whole": whole, "cut": cut}, "cut", f"cut at 3, seed {config.seed}", 1.5)


def _run(*arguments: object, recipe: Any = _recipe) -> None:
    command.build(recipe, lambda: nullcontext(Quiet()))([str(one) for one in arguments], standalone_mode=False)


def _lines(seed: int = 1) -> dict[str, Any]:
    """Lines of 60 customers with text ids that look like numbers, and items by int32."""
    rng = np.random.default_rng(seed)
    customers = np.repeat(np.arange(60), 8)
    return {
        "customer_id": [f"{one:03}" for one in customers.tolist()],
        "basket": np.tile(np.arange(8) // 2, 60),
        "item_id": (rng.zipf(1.4, len(customers)) % 400 * 10).astype(np.int32),
    }


def _recomputed(folder: Path, truth: dict[Any, set[Any]], k: int, cut: bool) -> tuple[float, float]:
    """Recall and NDCG from predictions.parquet alone, as an outsider would."""
    lists: dict[Any, list[Any]] = defaultdict(list)
    for row in pq.read_table(folder / "predictions.parquet").to_pylist():
        lists[row["customer_id"]].append(row["item_id"])
        assert row["rank"] == len(lists[row["customer_id"]])
    recall, ndcg = [], []
    for customer, items in truth.items():
        assert len(lists[customer]) == k == len(set(lists[customer]))
        gains = [1 / math.log2(place + 2) for place, item in enumerate(lists[customer]) if item in items]
        recall.append(len(gains) / len(items))
        ndcg.append(sum(gains) / sum(1 / math.log2(i + 2) for i in range(min(len(items), k) if cut else len(items))))
    assert set(lists) == set(truth)
    return float(np.mean(recall)), float(np.mean(ndcg))


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_next_basket_writes_what_anybody_can_recompute(tmp_path: Path, capsys: Any, kind: str) -> None:
    lines, file, out = _lines(), tmp_path / f"baskets.{kind}", tmp_path / "deep" / "out"
    table = pa.table(lines)
    if kind == "parquet":
        pq.write_table(table, file)
    else:
        rows = [",".join(str(one) for one in row.values()) for row in table.to_pylist()]
        file.write_text("\n".join(["customer_id,basket,item_id", *rows]))
    _run("next-basket", "--baskets", file, "--out", out)
    truth: dict[Any, set[Any]] = defaultdict(set)
    for customer, basket, item in zip(*lines.values(), strict=True):
        if basket == 3:
            truth[customer].add(int(item))
    found = json.loads((out / "metrics.json").read_text())
    recall, ndcg = _recomputed(out, truth, 10, cut=False)
    assert found["recall@10"] == pytest.approx(recall) and found["ndcg@10"] == pytest.approx(ndcg)
    for name in ("recall@10", "ndcg@10", "phr@10"):
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
    assert found["train_cpu_seconds"] == 1.5 and found["cpu_seconds"] > 0 and found["peak_memory_mb"] > 10
    assert found["seed"] == 1 and found["recipe"] == "cut at 3, seed 1" and found["customers"] == 60
    assert set(found["rows"]) == {
        "whole",
        "cut",
        "popularity",
        "personal frequency",
        "plain implicit",
        "plain implicit, repeats kept",
    }
    predictions = pq.read_table(out / "predictions.parquet")
    assert predictions.schema.field("customer_id").type == pa.string()
    assert predictions.schema.field("item_id").type == (pa.int32() if kind == "parquet" else pa.int64())
    printed = capsys.readouterr().out
    assert all(name in printed for name in [*found["rows"], "cut *", "recall", "phr", "cut at 3, seed 1"])
    assert sorted(one.name for one in out.iterdir()) == ["metrics.json", "predictions.parquet"]


def test_top_n_writes_what_anybody_can_recompute(tmp_path: Path) -> None:
    table = pa.table(_lines()).drop(["basket"]).to_pylist()
    train, test = [row for i, row in enumerate(table) if i % 3], [row for i, row in enumerate(table) if not i % 3]
    test.append({"customer_id": "stranger", "item_id": 10})
    files = [tmp_path / "train.parquet", tmp_path / "test.parquet"]
    for rows, file in zip((train, test), files, strict=True):
        pq.write_table(pa.Table.from_pylist(rows), file)
    _run("top-n", "--train", files[0], "--test", files[1], "--out", tmp_path, "--seed", "7")
    truth: dict[Any, set[Any]] = defaultdict(set)
    for row in test[:-1]:
        truth[row["customer_id"]].add(row["item_id"])
    found = json.loads((tmp_path / "metrics.json").read_text())
    recall, ndcg = _recomputed(tmp_path, truth, 20, cut=True)
    assert found["recall@20"] == pytest.approx(recall) and found["ndcg@20"] == pytest.approx(ndcg)
    assert found["seed"] == 7 and found["recipe"] == "cut at 3, seed 7" and "phr@20" not in found
    assert found["left_out"] == {"test customers without training lines": 1}
    assert found["repeat_share@20"] == 0.0


def test_a_recipe_that_lists_what_is_masked_is_caught_and_nothing_is_written(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text("customer_id,item_id\n1,a\n1,b\n2,c\n")

    def careless(task: Task, *_: object) -> Rankings:
        row = np.full((len(task.asked), task.k), -1, np.int32)
        row[:, 0] = task.items[0]
        return Rankings({"careless": row}, "careless", "", 0.0)

    with pytest.raises(ValueError, match="careless: an item of the history"):
        _run(
            "top-n",
            "--train",
            tmp_path / "train.csv",
            "--test",
            tmp_path / "test.csv",
            "--out",
            tmp_path / "out",
            recipe=careless,
        )
    assert not list((tmp_path / "out").iterdir())


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidRequest, match="file: cannot be written"):
        _run("next-basket", "--baskets", tmp_path / "nowhere.csv", "--out", tmp_path / "file")


def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    file = tmp_path / "baskets.csv"
    file.write_text("customer_id,basket_no,item_id\n1,1,a\n")
    done = subprocess.run(
        [sys.executable, "-m", "training", "benchmark", "next-basket", "--baskets", str(file), "--out", str(tmp_path / "out")],
        env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and not done.stdout
    assert f"error: {file}: basket: no such column; did you mean basket_no?" in done.stderr


def test_cpu_and_memory_are_those_of_the_process() -> None:
    before = cpu_seconds()
    kept = np.ones(40_000_000 // 8)
    while cpu_seconds() - before < 0.05:
        kept.sum()
    assert 40 < peak_memory_mb() < 100_000
