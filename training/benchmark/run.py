"""One benchmark run: rank, measure beside the baselines, write what was measured."""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsvc import __version__
from recsvc.artifact import Array
from training.benchmark import baselines, metrics
from training.benchmark.protocols import Case, Rankings, Recipe, check, held
from training.config import Config
from training.progress import Progress


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run found. rows: see `metrics.table`. summary: the content of metrics.json. predictions: (c, k) int32,
    the chosen row."""

    rows: dict[str, dict[str, float]]
    chosen: str
    summary: dict[str, Any]
    predictions: Array


def run(case: Case, recipe: Recipe, config: Config, progress: Progress) -> Outcome:
    """Return what a recipe achieves on a case, beside the baselines.

    The chosen row is filled up by popularity where it is shorter than k, so everybody gets a whole list.

    Raises:
        ValueError: the recipe returned what is no ranking of the task.
    """
    ranked = recipe(case.task, config, progress)
    pairs = held(case.task)
    for name, rankings in ranked.rows.items():
        check(name, rankings, case.task, pairs)
    rows = dict(ranked.rows)
    predictions = rows[ranked.chosen] = baselines.filled(rows[ranked.chosen], case.task)
    rows.update(baselines.rankings(case.task, config, progress))
    progress.step("measuring")
    table = metrics.table(rows, ranked.chosen, case, config.seed)
    return Outcome(table, ranked.chosen, _summary(case, ranked, table, config), predictions)


def _summary(case: Case, ranked: Rankings, table: dict[str, dict[str, float]], config: Config) -> dict[str, Any]:
    flat = {key: value for key, value in table[ranked.chosen].items() if not key.startswith("lead")}
    task = case.task
    return {
        "protocol": case.name, **flat, "recipe": ranked.recipe, "chosen": ranked.chosen, "seed": config.seed,
        "train_cpu_seconds": round(ranked.train_cpu_seconds, 2), "cpu_seconds": round(cpu_seconds(), 2),
        "peak_memory_mb": round(peak_memory_mb(), 1), "customers": len(task.asked), "items": task.item_count,
        "history_lines": len(task.items), "dates": task.at is not None, "left_out": case.left_out,
        "version": __version__, "rows": table,
    }  # fmt: skip


def cpu_seconds() -> float:
    """Return the CPU seconds, user and system, of this process since its start and of its finished children."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def peak_memory_mb() -> float:
    """Return the most memory this process has held, or one of its children where that was more, in 10^6 bytes."""
    # macOS counts bytes, Linux kilobytes.
    unit = 1 if sys.platform == "darwin" else 1024
    own = _high_water_kb() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * unit / 1e6


def _high_water_kb() -> int:
    """Return Linux's own count, 0 elsewhere. getrusage starts from what the process held that started this one."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0
    return next((int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")), 0)
