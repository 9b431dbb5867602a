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
from typing import Any

import pytest
import sqlalchemy as sa

from recsvc.errors import Exhausted, Unavailable
from recsvc.store import claimed, claims, database, facts, offers
from recsvc.store.database import Writer

RACES = int(os.environ.get("RECSVC_TEST_RACES", "3"))
SEED = int(os.environ.get("RECSVC_TEST_SEED", "20261201"))
PROCESSES, THREADS = 4, 16
NOW = 1_790_000_000_000_000


def _race(url: str, offer_id: str, first: int, each: int, start: float) -> None:
    """Claim from many threads, at one moment, and print what became of each try."""
    engine = database.connect(url, quick_seconds=10)
    writer = Writer(engine)

    def claim(n: int) -> str:
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

    time.sleep(max(0.0, start - time.time()))
    with ThreadPoolExecutor(THREADS) as pool:
        for outcome in pool.map(claim, range(THREADS)):
            print(outcome, flush=True)
    engine.dispose()


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


@pytest.mark.parametrize("race", range(RACES))
def test_never_more_is_sold_than_there_is(engine: sa.Engine, database_url: str, race: int) -> None:
    rng = random.Random(SEED + race)
    killed = race % 10 == 1  # in a tenth of the races
    facts.ensure(engine)
    offer_id = f"race-{race}"
    room, most = _offer(engine, offer_id, rng)
    each = rng.choice([1, 4])  # claims that one customer tries for
    start = time.time() + 2.0
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.store.test_races", database_url, offer_id, str(n * THREADS), str(each), str(start)],
            stdout=subprocess.PIPE, text=True,
        )
        for n in range(PROCESSES)
    ]  # fmt: skip
    if killed:
        time.sleep(max(0.0, start - time.time()) + rng.random() * 0.1)
        racers[0].send_signal(signal.SIGKILL)
    said = [one.communicate(timeout=120)[0].split() for one in racers]
    assert all(one.returncode == 0 for one in racers[killed:])
    heard = sum(one.count("sold") for one in said)
    with engine.connect() as connection:
        made = connection.execute(sa.select(claimed.claims).where(claimed.claims.c.offer_id == offer_id)).all()
        usage = claimed.usage(connection, {""}).get((offer_id, ""))
        holders = connection.execute(sa.select(claimed.offer_holders)).all()
    tried = [f"c{n // each}" for n in range(PROCESSES * THREADS)]
    demand = sum(min(most, tried.count(one)) for one in set(tried))
    assert len(made) <= room and len({one.claim_id for one in made}) == len(made)
    if killed:
        assert heard <= len(made) <= min(room, demand)
    else:
        assert heard == len(made) == min(room, demand)
    assert (0 if usage is None else usage.held) == len(made)
    assert (0 if usage is None else usage.held_cents) == 30 * len(made)
    held = {one.customer_id: one.held for one in holders}
    assert all(count <= most for count in held.values()) and sum(held.values()) == len(made)


if __name__ == "__main__":
    _race(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
