"""`python -m tests.soak`: run one soak, print what was seen, exit 1 when anything was wrong."""

from __future__ import annotations

import sys
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from tests.soak.run import Plan, Result, soak

_SHOWN = 20


def main(
    requests: Annotated[int, typer.Option(help="How many the storefront asks.")] = 100_000,
    per_second: Annotated[float, typer.Option(help="How fast.")] = 250.0,
    database: Annotated[str, typer.Option(help="sqlite or postgres.")] = "sqlite",
    seed: Annotated[int, typer.Option(help="Of the requests and of the order of faults.")] = 1,
) -> None:
    """Ask a served shop at a steady rate while its parts fail at random."""
    result = soak(Plan(requests, per_second, database, seed), lambda line: print(line, flush=True))
    show(result)
    sys.exit(bool(result.wrong))


def show(result: Result) -> None:
    """Print the table."""
    table = Table("meanwhile", "times", "answers", "p50 ms", "p99 ms", "max ms")
    for name, seconds in sorted(result.times.items()):
        ms = np.percentile(np.array(seconds) * 1000, [50, 99, 100])
        table.add_row(name, str(result.faults.get(name, "")), f"{len(seconds):,}", *(f"{one:.1f}" for one in ms))
    console = Console(width=120)
    console.print(table)
    answers = sum(map(len, result.times.values()))
    console.print(
        f"{result.plan.database}, seed {result.plan.seed}: {answers:,} answers in {result.seconds:.0f} s "
        f"({answers / result.seconds:.0f}/s), {result.retried} after a retry, {result.degraded:,} degraded and saying "
        f"so; {result.stock_changes} items out of stock, {result.acknowledged:,} interactions acknowledged, "
        f"{result.refused} writes refused; {result.met:,} sightings checked; {len(result.wrong)} wrong"
    )
    for line in result.wrong[:_SHOWN]:
        console.print(line, style="red")


if __name__ == "__main__":
    typer.run(main)
