"""Report: the table for people, the two files for programs."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.table import Table

from recsvc.errors import InvalidRequest
from training.benchmark.protocols import Case
from training.benchmark.run import Outcome


def prepare(folder: Path) -> None:
    """Make the folder, and make sure that it can be written before minutes are spent.

    Raises:
        InvalidRequest: it cannot; says why.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InvalidRequest(f"{folder}: cannot be written: {error.strerror}") from None


def write(folder: Path, outcome: Outcome, case: Case) -> None:
    """Write `predictions.parquet` (customer_id, rank from 1, item_id) and, last, `metrics.json`; each whole or not."""
    rows, places = np.nonzero(outcome.predictions >= 0)
    table = pa.table({
        "customer_id": case.customer_ids.take(case.task.asked[rows]),
        "rank": pa.array((places + 1).astype(np.int32)),
        "item_id": case.item_ids.take(outcome.predictions[rows, places]),
    })  # fmt: skip
    replace(folder / "predictions.parquet", lambda path: pq.write_table(table, path))
    write_summary(folder, outcome.summary)


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    """Write `metrics.json`, whole or not."""
    text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    replace(folder / "metrics.json", lambda path: path.write_text(text, encoding="utf-8"))


def table(outcome: Outcome, case: Case) -> Table:
    """Return one line per row of the outcome; the chosen one is marked."""
    k = case.task.k
    names = [name for name in ("recall", "ndcg", "phr") if f"{name}@{k}" in next(iter(outcome.rows.values()))]
    found = Table(
        title=f"{case.name}, {len(case.task.asked):,} customers, all {case.task.item_count:,} items ranked",
        caption=f"@{k}; ±: half a 95 % interval; lead: of the recipe's choice (*) in ndcg, paired", box=box.SIMPLE,
        pad_edge=False,
    )  # fmt: skip
    found.add_column("", no_wrap=True)
    for name in (*names, "lead"):
        found.add_column(name, justify="right", no_wrap=True)
        found.add_column("±", justify="right", no_wrap=True)
    for name, row in outcome.rows.items():
        chosen = name == outcome.chosen
        shown = [cell for metric in names for cell in cells(row, f"{metric}@{k}")]
        shown += ["", ""] if chosen else cells(row, "lead")
        found.add_row(f"{name} *" if chosen else name, *shown, style="bold" if chosen else None)
    return found


def lines(outcome: Outcome, case: Case, folder: Path) -> list[str]:
    """Return what is said below the table."""
    summary, k = outcome.summary, case.task.k
    return [
        f"* {summary['recipe']}",
        f"shown: {summary[f'coverage@{k}']:.1%} of the catalogue, novelty {summary[f'novelty@{k}']:.1f} bits, "
        f"{summary[f'repeat_share@{k}']:.1%} had before",
        *(f"left out: {count:,} {who}" for who, count in case.left_out.items() if count),
        f"{summary['train_cpu_seconds']:.0f} CPU s to train, {summary['cpu_seconds']:.0f} in all; "
        f"{summary['peak_memory_mb']:,.0f} MB at most; seed {summary['seed']}",
        f"metrics.json and predictions.parquet are in {folder}",
    ]


def cells(row: dict[str, float], name: str) -> list[str]:
    """Return a value and half its interval."""
    return [f"{row[name]:.4f}", f"{(row[f'{name}_high'] - row[f'{name}_low']) / 2:.4f}"]


def replace(path: Path, fill: Callable[[Path], Any]) -> None:
    """Write beside and rename, so a reader never sees half a file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fill(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
