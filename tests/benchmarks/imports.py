"""How long `recsvc import interactions` takes, and its memory, into either database from either kind of file.

    python -m tests.benchmarks.imports [rows, 5000000] [folder]

Makes a shop's orders, Parquet with ids and CSV without, of 200,000 customers and 50,000 items, in the folder (kept when
it has them already), and imports each into an empty database. The memory is that of the importing process; Postgres
runs beside it with its own settings but for 128 MB of shared buffers. On a machine that does other things too, look at
the CPU seconds. Prints a line for each, and JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tests.postgres import Postgres


def make(folder: Path, rows: int) -> list[Path]:
    """Write the files that are missing and return them."""
    parquet, csv = folder / f"{rows}.parquet", folder / f"{rows}.csv"
    if not csv.exists():
        r = np.random.default_rng(0)
        order = np.sort(r.integers(0, rows // 4, rows))
        table = pa.table({
            "interaction_id": [f"{one}-{n}" for n, one in enumerate(order.tolist())],
            "customer_id": pa.array(r.integers(0, 200_000, rows // 4)[order]).cast(pa.string()),
            "item_id": pa.array(np.minimum(r.zipf(1.3, rows), 50_000)).cast(pa.string()),
            "kind": ["purchase"] * rows,
            "occurred_at": pa.array(1_700_000_000 + order * 40, pa.timestamp("s", "UTC")),
            "quantity": r.integers(1, 5, rows), "value_cents": r.integers(100, 9000, rows), "currency": ["EUR"] * rows,
            "order_id": pa.array(order).cast(pa.string()),
        })  # fmt: skip
        pq.write_table(table, parquet)
        pyarrow.csv.write_csv(table.drop_columns(["interaction_id"]), csv)
    return [parquet, csv]


def measure(file: Path, url: str, home: Path) -> tuple[float, float, float]:
    """Return the seconds, the CPU seconds and the peak megabytes of one import."""
    environment = {**os.environ, "RECSVC_HOME": str(home), "RECSVC_DATABASE_URL": url}
    command = [sys.executable, "-m", "recsvc", "import", "interactions", str(file)]
    started = time.perf_counter()
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"import ended with {child.returncode}"
    return time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000


def spent(server: Postgres | None) -> float:
    """Return the CPU seconds of a server and of its processes that have ended, which are all that worked."""
    if server is None:
        return 0.0
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def main(rows: int, folder: Path) -> None:
    """Measure and print."""
    found = []
    # In a process of its own: a child's peak begins at the memory of whoever started it.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
        files = apart.submit(make, folder, rows).result()
    for file in files:
        for kind in ("sqlite", "postgres"):
            with tempfile.TemporaryDirectory(dir=folder) as home:
                server = Postgres() if kind == "postgres" else None
                url = server.url(server.create()) if server else f"sqlite:///{home}/shop.db"
                seconds, cpu, megabytes = measure(file, url, Path(home))
                cpu_server = spent(server)
                if server:
                    server.end()
            numbers = {"s": seconds, "cpu_s": cpu, "server_cpu_s": cpu_server, "MB": megabytes}
            found.append(
                {"file": file.suffix[1:], "database": kind, "rows": rows} | {k: round(v) for k, v in numbers.items()}
            )
            print(f"{file.suffix[1:]:8} {kind:9} {rows:,} rows  {seconds:6.1f} s, CPU {cpu:.1f} + {cpu_server:.1f} s  "
                  f"{megabytes:4.0f} MB", flush=True)  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 5_000_000, Path(given[1] if len(given) > 1 else tempfile.mkdtemp()))
