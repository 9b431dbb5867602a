"""Interactions in, durable, over HTTP, beside bare INSERT loops into the same table of the same database.

The bare loop is one thread with prepared rows and the service's pragmas (WAL, synchronous=FULL): one commit for each
row, or for each 500. It is the fastest bare loop: several threads only wait for each other's lock. The service is
`recsvc serve` as a shop would start it, with eight callers that wait for each answer. A round is A B B A.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from recsvc.intake import digest
from recsvc.store.interactions import COLUMNS
from tests.benchmarks.row import Row
from tests.benchmarks.served import Served, served

CALLERS = 8
BATCH = 500
SECONDS = float(os.environ.get("RECSVC_BENCH_SECONDS", "3"))
ROUNDS = int(os.environ.get("RECSVC_BENCH_ROUNDS", "3"))
_MOST_A_SECOND = 60_000
_numbers = itertools.count()


@dataclass(slots=True)
class Rate:
    """What was done in how long."""

    done: int = 0
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def per_second(self) -> float:
        """How many in a second."""
        return self.done / self.seconds


def rows() -> Iterator[Row]:
    """Yield the rows of the table: one at a time, then in batches."""
    with served() as service:
        yield from _rows(service)


def _rows(service: Served) -> Iterator[Row]:
    for name, size, goal in (("one at a time", 1, 0.5), (f"batches of {BATCH}", BATCH, 0.7)):
        ours, bare = Rate(), Rate()
        for _ in range(ROUNDS):
            for which in (ours, bare, bare, ours):
                if which is ours:
                    _served(service, size, ours)
                else:
                    _bare(service.database, size, bare)
        yield Row(
            f"interactions, {name}", "interactions/s", ours.per_second, bare.per_second, goal,
            f"service {1e6 * ours.cpu / ours.done:,.0f} µs CPU each, bare loop {1e6 * bare.cpu / bare.done:,.0f}",
        )  # fmt: skip


def _served(service: Served, size: int, rate: Rate) -> None:
    """Have eight callers post for a while, each waiting for its answer."""
    # Made beforehand, as the bare loop's rows are: what is measured is the service, not its callers.
    most = max(1, int(SECONDS * (_MOST_A_SECOND if size > 1 else _MOST_A_SECOND / 10) / size / CALLERS))
    prepared = [[_request(service.key, size) for _ in range(most)] for _ in range(CALLERS)]
    end = time.perf_counter() + SECONDS
    counts = [0] * CALLERS

    def call(caller: int) -> None:
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for request in prepared[caller]:
                if time.perf_counter() > end:
                    break
                _post(connection, request)
                counts[caller] += size

    before, began = service.cpu(), time.perf_counter()
    threads = [threading.Thread(target=call, args=(caller,)) for caller in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate.seconds += time.perf_counter() - began
    rate.cpu += service.cpu() - before
    rate.done += sum(counts)


def _request(key: str, size: int) -> bytes:
    rows = [_interaction(next(_numbers)) for _ in range(size)]
    body = json.dumps(rows if size > 1 else rows[0]).encode()
    head = f"POST /v1/interactions HTTP/1.1\r\nHost: bench\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _post(connection: socket.socket, request: bytes) -> None:
    connection.sendall(request)
    got = b""
    while b"\r\n\r\n" not in got:
        got += connection.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    if not head.startswith(b"HTTP/1.1 200") or b'"rejected":[]' not in body:
        raise RuntimeError(f"the service did not take it: {head[:80]!r} {body[:200]!r}")


def _interaction(number: int) -> dict[str, object]:
    return {
        "interaction_id": f"bench-{os.getpid()}-{number}", "customer_id": f"c{number % 5000}", "kind": "purchase",
        "item_id": f"coffee-{number % 30:02}", "occurred_at": "2026-01-05T10:00:00Z", "quantity": 1, "value_cents": 500,
        "currency": "EUR", "order_id": f"b{number // 3}", "channel": "web",
    }  # fmt: skip


def _bare(database: Path, size: int, rate: Rate) -> None:
    """Insert prepared rows for a while, a commit for each `size` of them."""
    connection = sqlite3.connect(database, isolation_level=None, timeout=30)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-65536"):
        connection.execute(f"PRAGMA {pragma}")
    marks = ", ".join("?" * len(COLUMNS))
    statement = f"INSERT INTO interactions ({', '.join(COLUMNS)}) VALUES ({marks}) ON CONFLICT DO NOTHING"
    insert: Callable[..., object] = connection.executemany if size > 1 else connection.execute
    spent = cpu = 0.0
    while spent < SECONDS:
        prepared = [[_stored(next(_numbers)) for _ in range(size)] for _ in range(max(1, 200 // size))]
        began, used = time.perf_counter(), time.process_time()
        for part in prepared:
            connection.execute("BEGIN IMMEDIATE")
            insert(statement, part if size > 1 else part[0])
            connection.execute("COMMIT")
        spent, cpu = spent + time.perf_counter() - began, cpu + time.process_time() - used
        rate.done += sum(len(part) for part in prepared)
    connection.close()
    rate.seconds += spent
    rate.cpu += cpu


def _stored(number: int) -> tuple[object, ...]:
    given = _interaction(number)
    row = {**given, "digest": digest(str(given["interaction_id"])), "occurred_at": 1767607200000000}
    return tuple(row.get(column) for column in COLUMNS)
