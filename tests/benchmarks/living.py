"""What a storefront notices while things happen: an interaction, stock that ends, Redis that stops, models that change.

Seconds are those of the clock, so on a machine that others use they say what was seen, and not what could be. Answers
are asked all the while at a steady rate, a tenth of what the service can do, and each is looked at.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recsvc import artifact
from tests.benchmarks import large
from tests.benchmarks.load import Asked, ask, get
from tests.benchmarks.row import Row
from tests.benchmarks.served import Served, planted, served, serving
from tests.conftest import children

TIMES = int(os.environ.get("RECSVC_BENCH_TIMES", "40"))
SWAPS = int(os.environ.get("RECSVC_BENCH_SWAPS", "100"))
_RATE = 200.0
_SMALL = large.Size(20_000, 64, 1000)
_HALF_A_GIGABYTE = large.Size(100_000, 1200, 1000)


def rows() -> Iterator[Row]:
    """Yield the rows of the table."""
    with served(large.large(_SMALL), workers=2) as service:
        yield _interaction(service)
        yield _stock(service)
        yield from _stopped(service)
        yield from _swapped(service)
        yield _weight(service)
    with planted(large.large(large.Size(100_000, 128, 1000))) as (home, key):
        before = time.perf_counter()
        with serving(home, key, workers=2):
            yield Row("ready from cold, 100,000 items", "s", time.perf_counter() - before, None, None, most=3.0)
    yield from _memory()


def _call(service: Served, method: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"X-API-Key": service.key, "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{service.port}{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def _items(service: Served, customer: int) -> list[str]:
    reply = _call(service, "GET", f"/v1/customers/{large.customer_id(customer)}/recommendations")
    return [one["item_id"] for one in reply["items"]]


def _held(service: Served, customer: int) -> str:
    """Return the first item of a customer's list, which the workers then hold."""
    for _ in range(8):
        items = _items(service, customer)
    return items[0]


def _gone(service: Served, customer: int, item_id: str) -> float:
    """Return the seconds until the last answer that still had an item; each asks on a connection of its own, so that
    every worker answers some."""
    began = last = time.perf_counter()
    while time.perf_counter() - began < 1.5:
        if item_id in _items(service, customer):
            last = time.perf_counter()
    return last - began


def _interaction(service: Served) -> Row:
    """Dislike the first item of a customer's list, while both workers hold that list."""
    waited = []
    for customer in range(TIMES):
        first = _held(service, customer)
        row = {"customer_id": large.customer_id(customer), "kind": "dislike", "item_id": first}
        assert _call(service, "POST", "/v1/interactions", row)["accepted"] == 1
        waited.append(_gone(service, customer, first))
    return Row("interaction to the last list without it", "s", max(waited), None, None, f"{TIMES} times", most=1.0)


def _stock(service: Served) -> Row:
    """Let the first item of a customer's list be sold out, while both workers hold that list."""
    waited = []
    for customer in range(TIMES, 2 * TIMES):
        first = _held(service, customer)
        _call(service, "PATCH", f"/v1/items/{first}", {"stock": 0})
        waited.append(_gone(service, customer, first))
    return Row("stock 0 to the last list with the item", "s", max(waited), None, None, f"{TIMES} times", most=1.0)


@contextmanager
def _asking(service: Served, seconds: float) -> Iterator[Asked]:
    """Ask all customers' lists at a steady rate meanwhile."""
    requests = [get(f"/v1/customers/{large.customer_id(n)}/recommendations", service.key) for n in range(1000)]
    found: list[Asked] = []
    asking = threading.Thread(
        target=lambda: found.append(ask(service.port, requests, int(_RATE * seconds), _RATE)), daemon=True
    )
    asked = Asked()
    asking.start()
    yield asked
    asking.join()
    asked.seconds, asked.bad, asked.cached = found[0].seconds, found[0].bad, found[0].cached


def _redis(service: Served) -> int:
    """Return the pid of the embedded server."""
    for pid in children(service.pid):
        if (
            b"valkey" in Path(f"/proc/{pid}/cmdline").read_bytes()
            or b"redis-s" in Path(f"/proc/{pid}/comm").read_bytes()
        ):
            return pid
    raise RuntimeError("no embedded server")


def _stopped(service: Served) -> Iterator[Row]:
    """Stop Redis for four seconds and let it go on."""
    pid = _redis(service)
    with _asking(service, 4.0) as asked:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(4.5)
    os.kill(pid, signal.SIGCONT)
    began = time.perf_counter()
    path = f"/v1/customers/{large.customer_id(999)}/recommendations?limit=7"
    while True:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{service.port}{path}", headers={"X-API-Key": service.key})
        ) as reply:
            if reply.headers["X-Cache"] == "hit" and "X-Degraded" not in reply.headers:
                break
        assert time.perf_counter() - began < 30
    back = time.perf_counter() - began
    yield Row("Redis stopped, answers that were not 2xx", "", len(asked.bad), None, None, most=0)
    p99, note = 1000 * asked.percentile(0.99), f"p50 {1000 * asked.percentile(0.5):.1f} ms, {_RATE:.0f} a second"
    yield Row("Redis stopped, slowest of 100", "ms", p99, None, None, note, most=25.0)
    yield Row("Redis back, until an answer comes from it", "s", back, None, None, most=1.5)


def _swapped(service: Served) -> Iterator[Row]:
    """Publish the same model under another name, over and over, while lists are asked."""
    root = service.home / "artifacts"
    version = artifact.current(root)
    assert version is not None
    seen = artifact.read(root, version)
    about = {name: value for name, value in seen.manifest.items() if name not in {"arrays", "format", "version"}}
    other = artifact.publish(root, f"{version[:-4]}ffff", dict(seen.arrays), about).name
    seconds = max(4.0, SWAPS * 0.3)
    with _asking(service, seconds) as asked:
        for n in range(SWAPS):
            artifact.point(root, (version, other)[n % 2])
            time.sleep(0.28)
    note = f"p50 {1000 * asked.percentile(0.5):.1f} ms, p99 {1000 * asked.percentile(0.99):.1f} ms"
    yield Row(f"{SWAPS} hot swaps, answers that were not 2xx", "", len(asked.bad), None, None, note, most=0)


def _weight(service: Served) -> Row:
    """Ask 500 customers and weigh what Redis holds of each."""
    import redis

    url = (service.home / "serve.lock").read_text()
    requests = [get(f"/v1/customers/{large.customer_id(n)}/recommendations", service.key) for n in range(500)]
    ask(service.port, requests, len(requests))
    with redis.Redis.from_url(url) as direct:
        lists = [key for key in direct.scan_iter(count=1000) if re.search(rb"\}:[0-9a-f]{32}$", key)]
        each = [direct.memory_usage(key, samples=0) + 100 for key in lists]
        assert all(direct.ttl(key) > 0 for key in lists[:200])
    return Row("Redis, a customer's list of ten", "bytes", sum(each) / len(each), None, None, f"{len(each):,} lists",
               most=6000)  # fmt: skip


def _memory() -> Iterator[Row]:
    """Serve half a gigabyte by four workers and weigh them, shared pages in equal parts."""
    with served(large.large(_HALF_A_GIGABYTE), workers=4) as service:
        requests = [get(f"/v1/customers/{large.customer_id(n)}/recommendations", service.key) for n in range(1000)]
        ask(service.port, requests, 2000)
        ask(service.port, [get(f"/v1/customers/nobody-{n}/recommendations", service.key) for n in range(50)], 100)
        folder = max(
            (service.home / "artifacts").glob("[0-9]*Z-*"), key=lambda one: sum(f.stat().st_size for f in one.iterdir())
        )
        model = sum(one.stat().st_size for one in folder.iterdir()) / 1e6
        rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in service.workers()]
        total = sum(_megabytes(one, "Pss") for one in rollups)
        private = max(_megabytes(one, "Private_Clean") + _megabytes(one, "Private_Dirty") for one in rollups)
    note = f"model {model:,.0f} MB, {total:,.0f} MB in all"
    yield Row("4 workers, memory in all over the model", "", total / model, None, None, note, most=1.35)
    yield Row(
        "4 workers, a worker's own memory at most",
        "MB",
        private,
        None,
        None,
        "code, and 100,000 items as rows",
        most=50.0,
    )


def _megabytes(rollup: str, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0
