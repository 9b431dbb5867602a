"""Time and memory of a shop's training, by the number of its interactions.

    python -m tests.benchmarks.scale FOLDER
    python -m tests.benchmarks.scale FOLDER --sizes 1000000 5000000

For each size synthetic purchases are made (`synthetic.py`: 40 a customer; 20,000, 50,000 and 100,000 items), imported
into SQLite, items too, and trained on by what `python -m training train` runs, in a process of its own: read, learn the
order, measure, fit, finish the list of 100 of every customer, publish. Files and databases stay in FOLDER and are used
again by the next run; `results.json` has everything, and keeps the sizes that are not measured again.

Seconds are those of the clock. Memory is the most that the process held at once, with its children: of these what they
do not share (Linux only; asked every few seconds, the process's own peak exactly). The exponent is the slope of
log seconds, or log memory, over log interactions: 1 is proportional.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_ROOT = Path(__file__).parents[2]
_ITEMS = {1_000_000: 20_000, 5_000_000: 50_000, 20_000_000: 100_000}
_PER_CUSTOMER = 40
_PHASES = ("read", "learn the order", "evaluate", "fit", "lists", "publish")


def main() -> None:
    """Make what is missing, train on each size, print the table and write `results.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(_ITEMS), metavar="INTERACTIONS")
    parser.add_argument("--train", action="store_true", help="train on the database in the folder: what is measured")
    given = parser.parse_args()
    if given.train:
        _train(given.folder)
        return
    results = given.folder / "results.json"
    found = {int(size): one for size, one in json.loads(results.read_text()).items()} if results.exists() else {}
    console = Console(width=None if sys.stdout.isatty() else 150)
    for size in sorted(given.sizes):
        home = given.folder / str(size)
        if not (home / "imported.json").exists():
            _import(home, size)
        console.print(f"{size:,}: training, see {home / 'train.log'}", soft_wrap=True)
        found[size] = _measure(home) | json.loads((home / "imported.json").read_text())
        results.write_text(json.dumps(found, indent=1))
    console.print(_table(dict(sorted(found.items()))))


def _import(home: Path, size: int) -> None:
    """Make the purchases and import them, and the items that they name, into a database in `home`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    home.mkdir(parents=True, exist_ok=True)
    items = _ITEMS.get(size) or max(1_000, round(math.sqrt(size) * 22))
    events, catalogue = home / "interactions.parquet", home / "items.parquet"
    if not events.exists():
        counts = ["--interactions", size, "--customers", size // _PER_CUSTOMER, "--items", items]
        _run([sys.executable, "-m", "tests.benchmarks.synthetic", events.resolve(), *map(str, counts)], os.environ)
    ids = [str(one) for one in range(1, items + 1)]
    pq.write_table(pa.table({"item_id": ids, "title": [f"item {one}" for one in ids]}), catalogue)
    (home / "recsvc.db").unlink(missing_ok=True)
    started = time.perf_counter()
    for noun, file in (("items", catalogue), ("interactions", events)):
        _run([sys.executable, "-m", "recsvc", "import", noun, str(file.resolve())], _environment(home))
    (home / "imported.json").write_text(json.dumps({"import": round(time.perf_counter() - started, 1)}))


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, "RECSVC_HOME": str(home.resolve())}


def _run(command: list[Any], environment: Any) -> None:
    subprocess.run(command, cwd=_ROOT, env=environment, check=True)


def _measure(home: Path) -> dict[str, Any]:
    """Train in a process of its own and return what it found, with the CPU seconds of it and its children."""
    command = [sys.executable, "-m", "tests.benchmarks.scale", str(home.resolve()), "--train"]
    with (home / "train.log").open("w") as log:
        child = subprocess.Popen(command, cwd=_ROOT, env=_environment(home), stdout=log, stderr=subprocess.STDOUT)
        peak = _peak(child)
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"training ended with {child.returncode}, see {home / 'train.log'}")
    found: dict[str, Any] = json.loads((home / "trained.json").read_text())
    found["cpu"] = round(used.ru_utime + used.ru_stime, 1)
    found["peak_mb"] = round(max(peak, *found["peaks_mb"].values()))
    return found


def _peak(child: subprocess.Popen[bytes]) -> float:
    """Return the most that a process and its children held at once, in 10^6 bytes, shared pages once; waits until the
    process has ended, but leaves it to be waited for."""
    most = 0.0
    while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        began = time.perf_counter()
        most = max(most, sum(_proportional_mb(pid) for pid in _family(child.pid)))
        # The kernel counts page by page, which takes long where there are gigabytes: asking shall cost a fiftieth.
        time.sleep(max(0.25, 50 * (time.perf_counter() - began)))
    return most


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in _family(int(child)))]


def _proportional_mb(pid: int) -> float:
    """Return what a process holds, a page that several hold in equal parts."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def _train(home: Path) -> None:
    """Train on the database in `home`, and write the seconds and the peak of each phase to `trained.json`."""
    import training.__main__  # noqa: F401  it sets the threads of the linear algebra, before numpy loads
    from recsvc.settings import configs_folder
    from recsvc.settings import load as load_settings
    from recsvc.store import opening
    from training import run
    from training.config import load

    settings = load_settings()
    steps = _Steps()
    outcome = run.train(
        opening.existing(settings.sql_url), settings.artifact_root, load(configs_folder() / "training.yaml"), steps
    )
    steps.step("end")
    seconds = {name: round(outcome.seconds.get(name, 0.0), 1) for name in _PHASES}
    whole = {"seconds": seconds, "total": round(sum(outcome.seconds.values()), 1), "steps": steps.seconds,
             "peaks_mb": steps.peaks, "counts": outcome.counts, "measured_on": outcome.measured_on,
             "note": outcome.note, "list_bytes": _size(outcome.folder)}  # fmt: skip
    (home / "trained.json").write_text(json.dumps(whole, indent=1))


def _size(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.iterdir())


class _Steps:
    """Notes how long each step of the training took, and the most memory that was held in it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.peaks: dict[str, float] = {}
        self._name, self._began = "start", time.perf_counter()

    def step(self, name: str, total: int | None = None) -> None:
        """Begin a step."""
        now, label = time.perf_counter(), self._name
        status = Path("/proc/self/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024 / 1e6
        self.seconds[label] = round(self.seconds.get(label, 0.0) + now - self._began, 1)
        self.peaks[label] = round(max(self.peaks.get(label, 0.0), peak))
        Path("/proc/self/clear_refs").write_text("5")  # the peak of what follows is counted anew
        print(f"{label}: {now - self._began:.1f} s, {peak:,.0f} MB", flush=True)
        self._name, self._began = name, now

    def at(self, done: int) -> None:
        """Say how much of a step is done: of no interest here."""


def _table(found: dict[int, dict[str, Any]]) -> Table:
    table = Table(title="training with lists of 100, seconds", box=None)
    for name in ("interactions", "customers", "items", *_PHASES, "in all", "CPU s", "MB at most", "import"):
        table.add_column(name, justify="right", no_wrap=True)
    for size, one in found.items():
        counts, seconds = one["counts"], one["seconds"]
        table.add_row(
            f"{size:,}", f"{counts['customers']:,}", f"{counts['items']:,}", *(f"{seconds[name]:.0f}" for name in _PHASES),
            f"{one['total']:.0f}", f"{one['cpu']:.0f}", f"{one['peak_mb']:,}", f"{one['import']:.0f}",
        )  # fmt: skip
    if len(found) > 1:
        slopes = [exponent({size: one["seconds"][name] for size, one in found.items()}) for name in _PHASES]
        slopes += [
            exponent({size: one[name] for size, one in found.items()}) for name in ("total", "cpu", "peak_mb", "import")
        ]
        table.add_row("exponent", "", "", *(f"{one:.2f}" for one in slopes))
    return table


def exponent(values: dict[int, float]) -> float:
    """Return the slope of the line nearest to log values over log sizes."""
    points = [(math.log(size), math.log(max(value, 0.1))) for size, value in values.items()]
    x, y = (sum(column) / len(points) for column in zip(*points, strict=True))
    return float(sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points))


if __name__ == "__main__":
    main()
