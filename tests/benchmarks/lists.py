"""Lists out, by CPU time per request, beside H: a Flask view that returns `jsonify(hello="world")`.

On a machine that others use, wall clock between equal cases moves by a factor of three, so what is compared is the CPU
time of gunicorn's master and workers per request, by the scheduler's count, both sides in turn, A B B A, in one run.
Both run as `recsvc serve` starts them, with two workers of eight threads. Everything is on that a shop has on: key,
rate, cache, exposures, metrics, log. p50 and p99 are those of the clock at a steady rate, a tenth of what it can do.
The model has 100,000 items × 128 factors (`large.py`), the finished lists 100 items, the answers ten.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

from tests.benchmarks import large
from tests.benchmarks.load import ask, get
from tests.benchmarks.row import Row
from tests.benchmarks.served import Served, cpu_seconds, hello, served, serving

WORKERS, THREADS = 2, 8
COUNT = int(os.environ.get("RECSVC_BENCH_REQUESTS", "3000"))
ROUNDS = int(os.environ.get("RECSVC_BENCH_ROUNDS", "3"))
SIZE = large.Size(100_000, 128, 10_000)
_RATE = 10**6  # in force, and never reached


@dataclass(frozen=True, slots=True)
class Side:
    """Who is asked what."""

    port: int
    pids: list[int]
    requests: list[bytes]


@dataclass(frozen=True, slots=True)
class Case:
    """One row: who is asked, and the goal. expected: what X-Cache must say. part: how many of the requests are made."""

    name: str
    side: Side
    expected: bytes
    goal: float | None
    part: float = 1.0
    p99_ms: float | None = None


def rows() -> Iterator[Row]:
    """Yield the rows of the table."""
    with ExitStack() as stack:
        beside, alone = (
            Side(*stack.enter_context(hello(WORKERS, THREADS, app)), [get("/", "none")]) for app in ("app", "bare")
        )
        # Redis may wait for a core here, and that is not what is measured.
        settings = {"workers": WORKERS, "threads": THREADS, "rate_per_second": _RATE, "redis_timeout_ms": 500}
        cached = stack.enter_context(served(large.large(SIZE), **settings))
        bare = stack.enter_context(serving(cached.home, cached.key, redis_url="off", **settings))
        yield from _measured(Case("gunicorn alone: a bare WSGI app, 4 KB", alone, b"", None), beside)
        for case in _cases(cached, bare):
            yield from _measured(case, beside)


def _cases(cached: Served, bare: Served) -> Iterator[Case]:
    known = _lists(cached, range(SIZE.customers))
    # More than can be asked in half a second, in turn: no worker still holds what it answered the last time.
    ask(cached.port, known, len(known))
    through, without = (Side(one.port, one.workers(), known) for one in (cached, bare))
    yield Case("cached list, through Redis", through, b"hit", 0.9)
    yield Case("cached list, held by the worker", replace(through, requests=known[:4]), b"hit", 1.4)
    yield Case("known customer, cache off", without, b"miss", 0.6)
    _view(bare, 200)
    changed = replace(without, requests=known[:200])
    yield Case("customer with new interactions, cache off", changed, b"miss", 0.08, 0.2, 15.0)


def _lists(service: Served, numbers: range) -> list[bytes]:
    return [get(f"/v1/customers/{large.customer_id(n)}/recommendations", service.key) for n in numbers]


def _view(service: Served, customers: int) -> None:
    """Let each of the first customers look at three items."""
    rows = [
        {"customer_id": large.customer_id(n), "kind": "view", "item_id": large.item_id(n * 37 + i)}
        for n in range(customers) for i in range(3)
    ]  # fmt: skip
    headers = {"X-API-Key": service.key, "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{service.port}/v1/interactions"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(rows).encode(), headers), timeout=60) as reply:
        assert json.load(reply)["accepted"] == len(rows)


def _measured(case: Case, beside: Side) -> Iterator[Row]:
    """Yield a case's row, and that of its slowest answers where they have a goal."""
    ours, counts = case.side, {case.side.port: int(COUNT * case.part), beside.port: COUNT}
    ask(ours.port, ours.requests, counts[ours.port])
    used, done, expected = {ours.port: 0.0, beside.port: 0.0}, {ours.port: 0, beside.port: 0}, 0
    for _ in range(ROUNDS):
        for side in (ours, beside, beside, ours):
            before = cpu_seconds(side.pids)
            asked = ask(side.port, side.requests, counts[side.port])
            used[side.port] += cpu_seconds(side.pids) - before
            done[side.port] += counts[side.port]
            assert not asked.bad, asked.bad[0]
            if side is ours:
                expected += asked.cached.get(case.expected, 0)
    assert expected > 0.99 * done[ours.port], f"{case.name}: {expected} of {done[ours.port]} as they should be"
    mine, theirs = (1e6 * used[port] / done[port] for port in (ours.port, beside.port))
    steady = ask(ours.port, ours.requests, counts[ours.port] // 3, 0.1 * 1e6 / mine)
    assert not steady.bad, steady.bad[0]
    p50, p99 = (1000 * steady.percentile(part) for part in (0.5, 0.99))
    note = f"{mine:,.0f} µs of CPU, H {theirs:,.0f}; p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    yield Row(case.name, "requests per CPU second", 1e6 / mine, 1e6 / theirs, case.goal, note)
    if case.p99_ms is not None:
        yield Row(f"{case.name}, slowest of 100", "ms", p99, None, None, f"p50 {p50:.1f} ms", most=case.p99_ms)
