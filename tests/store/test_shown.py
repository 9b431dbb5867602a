"""What a customer was shown lately: in a real Redis-compatible server, and in this process without one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from recsvc.store.cache import Cache
from recsvc.store.shown import Shown
from tests.conftest import Valkey


@pytest.fixture(params=["redis", "none"])
def shown(request: pytest.FixtureRequest) -> Iterator[Shown]:
    url = request.getfixturevalue("valkey").url if request.param == "redis" else None
    cache = Cache(url, 2.0, 60)
    yield Shown(cache.recall, cache.remember)


def test_items_are_known_by_their_latest_moment_for_each_key(shown: Shown) -> None:
    shown.add("k", ["a", "b"], 100.0, 60)
    shown.add("k", ["b", "c"], 130.5, 60)
    shown.add("other", ["d"], 131.0, 60)
    assert shown.since("k", 0.0) == {"a": 100.0, "b": 130.5, "c": 130.5}
    assert shown.since("k", 120.0) == {"b": 130.5, "c": 130.5}
    assert shown.since("nobody", 0.0) == {}


def test_the_newest_two_hundred_are_kept(shown: Shown) -> None:
    for n in range(30):
        shown.add("k", [f"{n}-{m}" for m in range(10)], float(n), 60)
    found = shown.since("k", 0.0)
    assert len(found) == 200 and min(found.values()) == 10.0


def test_customers_in_this_process_are_bounded() -> None:
    cache = Cache(None, 2.0, 60)
    shown = Shown(cache.recall, cache.remember)
    for n in range(2100):
        shown.add(f"k{n}", ["a"], 1.0, 60)
    assert shown.since("k2099", 0.0) and not shown.since("k0", 0.0)


def test_a_key_ends_and_lives_as_long_as_the_longest_time_asked_for(valkey: Valkey) -> None:
    cache = Cache(valkey.url, 2.0, 60)
    shown = Shown(cache.recall, cache.remember)
    shown.add("k", ["a"], 1.0, 1000)
    shown.add("k", ["b"], 2.0, 10)
    asked: Any = redis.Redis.from_url(valkey.url)
    assert 900 < asked.ttl("k") <= 1000
    asked.close()


def test_what_redis_did_not_take_is_remembered_here(valkey: Valkey) -> None:
    cache = Cache(valkey.url, 0.2, 60)
    shown = Shown(cache.recall, cache.remember)
    shown.add("k", ["a"], 1.0, 60)
    valkey.process.kill()
    valkey.process.wait()
    shown.add("k", ["b"], 2.0, 60)
    assert shown.since("k", 0.0) == {"b": 2.0}
