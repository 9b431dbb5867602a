"""`demo`: the import files of The Complete Journey."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.cli.bars import console


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the import files.")],
) -> None:
    """Write The Complete Journey (simulated grocery data) as import files, dated to the last seven days."""
    from datetime import UTC, datetime

    from training.demo import write_demo

    summary = write_demo(out, datetime.now(UTC))
    console.print(
        f"The Complete Journey, simulated from a grocer's patterns: {summary.items:,} items, {summary.customers:,} "
        f"customers, {summary.purchases:,} purchases, {summary.offers:,} coupons ({summary.offers_now} valid now); "
        f"dates moved by {summary.shift_weeks} weeks."
    )
