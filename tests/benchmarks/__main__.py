"""Run all benchmarks, or those that are named, print one table, write JSON. Exit 1 when a goal is missed.

python -m tests.benchmarks
python -m tests.benchmarks lists
"""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks import ingestion, lists, living
from tests.benchmarks.row import Row

NOUNS: dict[str, Any] = {"ingestion": ingestion, "lists": lists, "living": living}
OUT = Path(".bench/results.json")


def main(names: list[str]) -> int:
    """Return 0 when every goal was reached, 2 when there is no such benchmark."""
    unknown = set(names) - set(NOUNS)
    if unknown:
        print(f"{', '.join(sorted(unknown))}: there is {', '.join(NOUNS)}")
        return 2
    found: list[Row] = []
    for name in names or NOUNS:
        for row in NOUNS[name].rows():
            print(f"{row.case}: {_number(row.reached)} {row.unit}", flush=True)
            found.append(row)
    Console(width=200).print(_table(found))
    OUT.parent.mkdir(exist_ok=True)
    rows = [{**asdict(row), "ratio": row.ratio, "met": row.met} for row in found]
    about = {"at": datetime.now(UTC).isoformat(), "cores": os.cpu_count(), "python": platform.python_version()}
    OUT.write_text(json.dumps({**about, "load": os.getloadavg(), "rows": rows}, indent=1) + "\n", encoding="utf-8")
    print(f"{OUT}: written")
    return int(any(row.met is False for row in found))


def _table(found: list[Row]) -> Table:
    table = Table("case", "unit", "reached", "beside", "ratio", "goal", "", "note")
    for row in found:
        goal = f"≤ {_number(row.most)}" if row.most is not None else f"≥ {row.goal}" if row.goal is not None else ""
        met = {None: "", True: "met", False: "missed"}[row.met]
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        beside = "" if row.beside is None else _number(row.beside)
        table.add_row(row.case, row.unit, _number(row.reached), beside, ratio, goal, met, row.note)
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
