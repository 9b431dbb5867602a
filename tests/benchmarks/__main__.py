"""Run all benchmarks, print one table, write JSON. Exit 1 when a goal is missed."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks import ingestion
from tests.benchmarks.row import Row
from tests.benchmarks.served import served

NOUNS = (ingestion,)
OUT = Path(".bench/results.json")


def main() -> int:
    """Return 0 when every goal was reached."""
    found: list[Row] = []
    with served() as service:
        for noun in NOUNS:
            found += noun.rows(service)
    table = Table("case", "unit", "reached", "beside", "ratio", "goal", "note")
    for row in found:
        goal = "" if row.goal is None else f"≥ {row.goal}"
        table.add_row(
            row.case, row.unit, f"{row.reached:,.0f}", f"{row.beside:,.0f}", f"{row.ratio:.2f}", goal, row.note
        )
    Console(width=180).print(table)
    OUT.parent.mkdir(exist_ok=True)
    rows = [{**asdict(row), "ratio": row.ratio} for row in found]
    about = {"at": datetime.now(UTC).isoformat(), "cores": os.cpu_count(), "python": platform.python_version()}
    OUT.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    print(f"{OUT}: written")
    return int(any(row.goal is not None and row.ratio < row.goal for row in found))


if __name__ == "__main__":
    sys.exit(main())
