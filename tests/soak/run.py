"""One soak: a served shop, a storefront, writers, faults one after the other, and the verdict."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from recsvc.settings import Settings
from recsvc.store import database, facts, keys
from tests.conftest import free_port
from tests.planted import Quiet, plant, small
from tests.postgres import Postgres
from tests.soak import faults, load
from tests.soak.checker import Checker, checker
from tests.soak.writers import Writers
from training import run as training_run


@dataclass(frozen=True, slots=True)
class Plan:
    """How wide. requests: of the storefront; per_second: how fast; database: `sqlite` or `postgres`."""

    requests: int = 100_000
    per_second: float = 250.0
    database: str = "sqlite"
    seed: int = 1


@dataclass(slots=True)
class Result:
    """What came of it. faults: name → how often. times: name of the fault, or `none` → seconds of the answers asked
    meanwhile. retried: answers that took the second try. met: shown items of which an absence was known."""

    plan: Plan
    wrong: list[str]
    faults: dict[str, int] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    retried: int = 0
    degraded: int = 0
    stock_changes: int = 0
    acknowledged: int = 0
    refused: int = 0
    met: int = 0


def soak(plan: Plan, tell: Callable[[str], None]) -> Result:
    """Serve a planted shop, ask it as planned while it is broken and mended, and return what was seen."""
    rng = random.Random(plan.seed)
    with (
        tempfile.TemporaryDirectory(prefix="recsvc-soak-") as folder,
        _ground(plan, Path(folder), rng) as (ground, home),
    ):
        judge = checker(ground.artifacts, ground.versions, ground.engine)
        with _served(ground, home, plan) as shop:
            return _run(plan, shop, ground, judge, tell)


def _run(plan: Plan, shop: load.Shop, ground: faults.Ground, judge: Checker, tell: Callable[[str], None]) -> Result:
    result, replies, now_wrong = Result(plan, judge.wrong), [], ["none"]

    def keep(reply: load.Reply) -> None:
        judge.judge(reply)
        replies.append(reply)
        result.times.setdefault(now_wrong[0], []).append(reply.seconds)

    def ask() -> None:
        result.seconds = load.steady(shop, plan.requests, plan.per_second, random.Random(plan.seed), keep)

    with Writers(shop, random.Random(plan.seed)) as writers:
        ground.calm = writers.calm
        storefront = threading.Thread(target=ask)
        storefront.start()
        for fault in _turns(plan, ground.rng):
            storefront.join(ground.rng.uniform(0.5, 2.5))
            if not storefront.is_alive():
                break
            name = fault.__name__
            result.faults[name] = result.faults.get(name, 0) + 1
            with fault(ground):
                now_wrong[0] = name
                storefront.join(ground.rng.uniform(0.5, 3.0))
            now_wrong[0] = "none"
            tell(f"{len(replies):>7} answers, {len(judge.wrong)} wrong, {name} over")
        storefront.join()
    result.retried = sum(reply.tries > 1 for reply in replies)
    result.degraded = sum(bool(reply.degraded) for reply in replies)
    result.stock_changes, result.refused = writers.stock_changes, writers.refused
    result.acknowledged = len(writers.acknowledged)
    result.met = judge.eligible(replies, writers.absences)
    judge.stored(ground.engine, writers.acknowledged)
    return result


def _turns(plan: Plan, rng: random.Random) -> Iterator[faults.Fault]:
    """Yield faults for ever: all of them in one order, then in another."""
    while True:
        yield from rng.sample(faults.OF[plan.database], len(faults.OF[plan.database]))


@contextmanager
def _ground(plan: Plan, folder: Path, rng: random.Random) -> Iterator[tuple[faults.Ground, Settings]]:
    """Plant a shop with two versions of its model."""
    server = Postgres() if plan.database == "postgres" else None
    url = server.url(server.create()) if server else ""
    home = Settings(home=folder / "shop", redis_url="off", database_url=url)
    home.home.mkdir()
    engine = database.connect(home.sql_url, quick_seconds=10)
    redis = faults.Redis(folder)
    try:
        database.migrate(engine)
        facts.ensure(engine)
        first = plant(engine, datetime.now(UTC), home.artifact_root)
        other = small().model_copy(update={"als": small().als.model_copy(update={"alpha": 9.0})})
        second = training_run.train(engine, home.artifact_root, other, Quiet(), force=True)
        assert first is not None and first.version != second.version
        yield faults.Ground(home.artifact_root, (first.version, second.version), engine, redis, server, rng), home
    finally:
        redis.kill()
        engine.dispose()
        if server:
            server.end()


@contextmanager
def _served(ground: faults.Ground, home: Settings, plan: Plan) -> Iterator[load.Shop]:
    """Serve it with two workers, as somebody with a Redis and a database of their own would."""
    key = keys.create(ground.engine, "soak", datetime.now(UTC), keys.Terms(("admin",)))
    given = {
        "home": home.home, "database_url": home.database_url, "redis_url": ground.redis.url, "port": free_port(),
        "workers": 2, "threads": 8, "rate_per_second": 0,
    }  # fmt: skip
    variables = {f"RECSVC_{name.upper()}": str(value) for name, value in given.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "recsvc", "serve"], env={**os.environ, **variables}, stderr=subprocess.DEVNULL
    )
    shop = load.Shop(int(str(given["port"])), key)
    try:
        end = time.monotonic() + 60
        while not _answers(shop):
            if time.monotonic() > end or process.poll() is not None:
                raise RuntimeError("the service did not start")
            time.sleep(0.05)
        ground.pid = process.pid
        yield shop
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _answers(shop: load.Shop) -> bool:
    try:
        return shop.ask("GET", "/readyz")[0] == 200
    except OSError:
        return False
    finally:
        shop.leave()
