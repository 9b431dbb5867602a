"""Rates: what a key may do in a second, over all workers, with Redis and without. No test here sleeps."""

from __future__ import annotations

from typing import Any

import pytest

from recsvc.store.cache import Cache
from recsvc.store.limits import Limiter
from tests.conftest import Valkey


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _alone(_name: str, _rate: int, _want: int) -> None:
    return None


def test_without_redis_a_worker_counts_for_itself() -> None:
    clock = Clock()
    limiter = Limiter(_alone, clock)
    assert [limiter.wait("k", 5) > 0 for _ in range(7)] == [False] * 5 + [True] * 2
    assert limiter.wait("k", 5) == pytest.approx(0.2)
    assert limiter.wait("other", 5) == 0.0
    clock.now += 0.41
    assert [limiter.wait("k", 5) > 0 for _ in range(3)] == [False, False, True]
    clock.now += 3600
    assert sum(limiter.wait("k", 5) == 0.0 for _ in range(100)) == 5


def test_a_batch_is_leased_once_and_forgotten_after_a_second() -> None:
    clock, asked = Clock(), []

    def lease(name: str, rate: int, want: int) -> tuple[int, float]:
        asked.append((name, rate, want))
        return want, 0.0

    limiter = Limiter(lease, clock)
    for _ in range(100):
        assert limiter.wait("k", 1000) == 0.0
    assert asked == [("k", 1000, 50)] * 2
    assert limiter.wait("k", 1000) == 0.0 and len(asked) == 3
    clock.now += 1.0
    assert limiter.wait("k", 1000) == 0.0 and len(asked) == 4


def test_after_a_refusal_nobody_asks_until_there_may_be_something() -> None:
    clock, asked = Clock(), []

    def lease(_name: str, _rate: int, _want: int) -> tuple[int, float]:
        asked.append(clock.now)
        return 0, 0.05

    limiter = Limiter(lease, clock)
    assert limiter.wait("k", 1000) == 0.05
    assert limiter.wait("k", 1000) == pytest.approx(0.05) and len(asked) == 1
    clock.now += 0.06
    assert limiter.wait("k", 1000) == 0.05 and len(asked) == 2


def test_a_redis_that_goes_away_leaves_no_second_burst() -> None:
    clock, answers = Clock(), [(1, 0.0)] * 10 + [(0, 0.1)]
    limiter = Limiter(lambda *_: answers.pop(0) if answers else None, clock)
    assert [limiter.wait("k", 10) > 0 for _ in range(11)] == [False] * 10 + [True]
    clock.now += 0.21  # Redis is away from here on
    assert [limiter.wait("k", 10) > 0 for _ in range(3)] == [False, False, True]
    clock.now += 60
    assert sum(limiter.wait("k", 10) == 0.0 for _ in range(30)) == 10


def test_workers_share_one_bucket_in_redis(valkey: Valkey) -> None:
    caches = [Cache(valkey.url, 1.0, 60) for _ in range(2)]
    clock = Clock()

    def limiter(cache: Cache) -> Limiter:
        return Limiter(lambda name, rate, want: cache.lease(name, rate, want, clock.now), clock)

    workers = [limiter(cache) for cache in caches]

    def passed(seconds: float, each: int) -> int:
        """How many of `each` requests at every hundredth of a second pass, in turn by both workers."""
        count = 0
        for _ in range(round(seconds * 100)):
            clock.now += 0.01
            count += sum(worker.wait("k", 100) == 0.0 for _ in range(each) for worker in workers)
        return count

    # One second's worth at once, then the rate; a lease of five may lie unused in each worker.
    assert 10 * 100 + 90 <= passed(10, 5) <= 10 * 100 + 100
    clock.now += 60
    assert passed(1, 1) in range(185, 201)


def test_a_lease_is_all_or_nothing_and_its_key_has_an_end(valkey: Valkey) -> None:
    cache = Cache(valkey.url, 1.0, 60)
    assert cache.lease("k", 10, 10, 5.0) == (10, 0.0)
    given, seconds = cache.lease("k", 10, 4, 5.1) or (None, None)
    assert (given, seconds) == (0, pytest.approx(0.3))
    assert cache.lease("k", 10, 4, 5.4) == (4, 0.0)
    # The clock of another machine is behind: nothing is lost and nothing gained.
    assert (cache.lease("k", 10, 4, 1.0) or (None,))[0] == 0
    import redis

    with redis.Redis.from_url(valkey.url) as direct:
        assert 0 < direct.ttl("recsvc:rate:{k}") <= 5
    assert cache.lease("own-clock", 10, 10) == (10, 0.0)


def test_a_redis_that_is_gone_leases_nothing_and_costs_nothing(valkey: Valkey) -> None:
    cache: Any = Cache(valkey.url, 0.05, 60)
    valkey.process.kill()
    valkey.process.wait()
    assert cache.lease("k", 10, 1) is None
    assert Cache(None, 0.05, 60).lease("k", 10, 1) is None
