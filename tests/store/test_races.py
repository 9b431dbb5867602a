"""Races: many processes claim one offer at once, and in some of them one is killed. What was sold is what there was.

Each racer is a process of its own with a writer of its own, as a worker of the service is. It says of every claim that
was acknowledged so on a pipe; a racer that is killed may have made claims that nobody heard of, and they count too.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import sqlalchemy as sa

from recsvc.errors import Exhausted, Unavailable
from recsvc.store import claimed, claims, database, offers
from recsvc.store.database import Writer

RACES = int(os.environ.get("RECSVC_TEST_RACES", "12"))
SEED = int(os.environ.get("RECSVC_TEST_SEED", "20261201"))
PROCESSES, THREADS = 4, 16
NOW = 1_790_000_000_000_000


def _racer(url: str) -> None:
    """For each line `offer first each` that comes in, claim from many threads, and print what became of each try."""
    writer = Writer(database.connect(url, quick_seconds=10))
    with ThreadPoolExecutor(THREADS) as pool:
        print("ready", flush=True)
        for line in sys.stdin:
            offer_id, first, each = line.split()
            claim = partial(_try, writer, offer_id, int(first), int(each))
            print(" ".join(pool.map(claim, range(THREADS))), flush=True)


def _try(writer: Writer, offer_id: str, first: int, each: int, n: int) -> str:
    customer_id = f"c{(first + n) // each}"

    def write(connection: sa.Connection) -> None:
        row = claims.offer(connection, offer_id)
        claims.reserve(connection, row, _claim(f"{offer_id}-{first + n}", offer_id, customer_id, row.cost_cents))

    while True:
        try:
            writer.submit(write)
        except Exhausted:
            return "exhausted"
        except Unavailable:
            continue  # sent again; here under one claim_id, so that it cannot count twice
        return "sold"


def _claim(claim_id: str, offer_id: str, customer_id: str, cents: int) -> dict[str, Any]:
    return {
        "claim_id": claim_id, "offer_id": offer_id, "customer_id": customer_id, "state": "reserved", "channel": None,
        "send_id": None, "created_at": NOW, "expires_at": NOW * 2, "ended_at": None, "order_id": None,
        "value_cents": None, "cost_cents": cents, "period": "",
    }  # fmt: skip


def _offer(engine: sa.Engine, offer_id: str, rng: random.Random) -> tuple[int, int]:
    """Write an offer and return how many there are of it, and how many one customer may have."""
    room, most = rng.choice([0, 1, 7, 20, 63, 64, 100]), rng.choice([1, 2, 4])
    kind = rng.choice(["capacity", "usage", "spend"])
    limits: dict[str, Any] = {"capacity": room} if kind == "capacity" else {
        "budget": {"unit": kind, "counts": "issued", "limit": room * (30 if kind == "spend" else 1), "period": "total"}
    }  # fmt: skip
    offers.put(engine, [{
        "offer_id": offer_id, "name": offer_id, "kind": "event", "active": True, "items": [], "attributes": {},
        "cost_cents": 30, "max_per_customer": most, **limits,
    }])  # fmt: skip
    return room, most


def _start(url: str) -> subprocess.Popen[str]:
    racer = subprocess.Popen(
        [sys.executable, "-m", "tests.store.test_races", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
    return racer


def _end(racer: subprocess.Popen[str]) -> int:
    """End a racer, or what is left of one, and return how it ended."""
    for pipe in (racer.stdin, racer.stdout):
        assert pipe is not None
        with suppress(BrokenPipeError):
            pipe.close()
    return racer.wait(30)


def _run(racers: list[subprocess.Popen[str]], offer_id: str, each: int, wait: float | None) -> list[str]:
    """Let all claim at once and return what they say; the first is killed after `wait` seconds."""
    for n, one in enumerate(racers):
        assert one.stdin is not None
        one.stdin.write(f"{offer_id} {n * THREADS} {each}\n")
        one.stdin.flush()
    if wait is not None:
        time.sleep(wait)
        racers[0].send_signal(signal.SIGKILL)
    return [word for one in racers if one.stdout is not None for word in one.stdout.readline().split()]


def test_never_more_is_sold_than_there_is(engine: sa.Engine, database_url: str) -> None:
    rng = random.Random(SEED)
    racers = [_start(database_url) for _ in range(PROCESSES)]
    for race in range(RACES):
        killed = race % 10 == 1  # in a tenth of the races
        offer_id, each = f"race-{race}", rng.choice([1, 4])  # claims that one customer tries for
        room, most = _offer(engine, offer_id, rng)
        said = _run(racers, offer_id, each, rng.random() * 0.05 if killed else None)
        if killed:
            _end(racers[0])
            racers[0] = _start(database_url)
        assert set(said) <= {"sold", "exhausted"}
        _balances(engine, offer_id, room, most, each, said, killed)
    assert [_end(one) for one in racers] == [0] * PROCESSES


def _balances(
    engine: sa.Engine, offer_id: str, room: int, most: int, each: int, said: list[str], killed: bool
) -> None:  # fmt: skip
    """Compare what was said with the books, and the books with each other."""
    with engine.connect() as connection:
        made = connection.execute(sa.select(claimed.claims).where(claimed.claims.c.offer_id == offer_id)).all()
        usage = claimed.usage(connection, {""}).get((offer_id, ""))
        t = claimed.offer_holders.c
        held = connection.execute(sa.select(t.customer_id, t.held).where(t.offer_id == offer_id)).all()
    tried = [f"c{n // each}" for n in range(PROCESSES * THREADS)]
    demand = sum(min(most, tried.count(one)) for one in set(tried))
    assert len({one.claim_id for one in made}) == len(made)
    if killed:
        assert said.count("sold") <= len(made) <= min(room, demand)
    else:
        assert said.count("sold") == len(made) == min(room, demand) and len(said) == len(tried)
    assert (0 if usage is None else usage.held) == len(made)
    assert (0 if usage is None else usage.held_cents) == 30 * len(made)
    assert all(count <= most for _, count in held) and sum(count for _, count in held) == len(made)


if __name__ == "__main__":
    _racer(sys.argv[1])
