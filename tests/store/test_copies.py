"""The copy of the live state: what comes out is what went in, from this database and nobody else's."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import redis as redis_client
import sqlalchemy as sa

from recsvc.store import copies, customers, database, items, keys, offers, rules
from recsvc.store.copies import Copy
from recsvc.store.keyfile import KeyFile
from recsvc.store.live import NOTHING, Live, State
from tests.conftest import Valkey
from tests.planted import book, catalogue

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
URL = "postgresql://shop:secret@db.example/shop"


def _fill(engine: sa.Engine) -> State:
    odd = {"item_id": "ä\n/1", "stock": 2**62, "categories": ["Käse", "a\\b"], "attributes": {"n": 10**30}}
    items.put(engine, [*catalogue(NOW), catalogue(NOW)[0] | odd])
    offers.put(engine, [book(NOW)[0] | {"attributes": {"n": 10**30, "deep": [None, 1.5, "😀\n"]}}, *book(NOW)[1:]])
    quiet = {"customer_id": "nobody-may-read-this", "segment": None, "attributes": {}, "profiling": False}
    customers.put(engine, [quiet])
    keys.create(engine, "plain", NOW)
    keys.create(engine, "terms", NOW, keys.Terms(("storefront", "catalog"), NOW + timedelta(days=3), 50))
    rule = {"rule_id": "r/1", "placement": None, "action": "pin", "match": {"brand": {"eq": "ä"}}, "slot": 3}
    rule |= {"factor": None, "starts_at": 1, "ends_at": None, "priority": -1}
    settings = {"placement_id": "p", "filters": {}, "diversity": 0.25, "max_per": ["brand:2"], "min_relevance": None}
    settings |= {"fields": ["title"], "cache_seconds": 0, "shared": True}
    with database.writing(engine) as connection:
        rules.put(connection, rules.rules, rule)
        rules.put(connection, rules.placements, settings)
    return Live(engine, KeyFile(None)).state


@pytest.fixture
def redis(valkey: Valkey) -> Iterator[Any]:
    """A client of the test's own server."""
    client = redis_client.Redis.from_url(valkey.url)
    yield client
    client.close()


@pytest.fixture
def copy(valkey: Valkey) -> Iterator[Copy]:
    """The copy of one database."""
    copy = Copy(valkey.url, URL)
    yield copy
    copy.close()


def test_what_comes_out_is_what_went_in(engine: sa.Engine) -> None:
    state = _fill(engine)
    found = copies.unpack(copies.pack(state))
    assert found.copied and found.known and not state.copied
    assert (found.facts, found.keys, found.admin) == (state.facts, state.keys, None)
    assert list(found.catalogue.items) == list(state.catalogue.items)
    assert [tuple(one) for one in found.catalogue.items.values()] == [tuple(o) for o in state.catalogue.items.values()]
    assert found.catalogue.offers == state.catalogue.offers and found.catalogue.newest == state.catalogue.newest
    assert (found.catalogue.change, found.catalogue.unprofiled) == (state.catalogue.change, state.catalogue.unprofiled)
    assert found.rules == state.rules and found.rules.rules["r/1"].match == {"brand": {"eq": "ä"}}
    assert found.rules.placements["p"].diversity == 0.25 and found.rules.change == 2
    odd = found.catalogue.items["ä\n/1"]
    assert (odd.stock, odd.categories, odd.available_to) == (2**62, ["Käse", "a\\b"], None)
    assert b"nobody-may-read-this" not in zlib.decompress(copies.pack(state))


def test_a_copy_is_written_once_and_ends_by_itself(engine: sa.Engine, copy: Copy, redis: Any) -> None:
    state = _fill(engine)
    assert copy.read() is None and not copy.keep(NOTHING) and redis.dbsize() == 0
    assert copy.keep(state) and not copy.keep(state)
    found = copy.read()
    assert found is not None and found.facts == state.facts and len(found.catalogue.items) == len(catalogue(NOW)) + 1
    assert redis.dbsize() == 2 and all(redis.ttl(name) != -1 for name in redis.scan_iter())
    redis.expire(copy.key, 10)
    copy.keep(state)
    assert redis.ttl(copy.key) > copies.TTL_SECONDS - 10


def test_an_older_state_does_not_replace_a_newer_one(engine: sa.Engine, copy: Copy, redis: Any) -> None:
    older = _fill(engine)
    items.put(engine, [catalogue(NOW)[0] | {"stock": 0}])
    newer = Live(engine, KeyFile(None)).state
    for state, kept in ((older, older), (newer, newer), (older, newer), (replace(newer, keys={}), newer)):
        redis.delete(f"{copy.key}:writer")
        copy.keep(state)
        found = copy.read()
        assert found is not None and found.facts == kept.facts and found.keys == kept.keys
    for stock in (1, 2):
        items.put(engine, [catalogue(NOW)[0] | {"stock": stock}])
        assert copy.keep(Live(engine, KeyFile(None)).state) == (stock == 1), "another wrote a moment ago"


def test_a_copy_that_redis_lost_is_written_again(engine: sa.Engine, copy: Copy, redis: Any) -> None:
    state = _fill(engine)
    assert copy.keep(state)
    redis.flushall()
    assert copy.keep(replace(state, copied=True)), "also by a worker that began with it"
    assert copy.read() is not None


def test_a_copy_is_of_one_database_and_signed_with_its_password(engine: sa.Engine, copy: Copy, valkey: Valkey) -> None:
    state = _fill(engine)
    copy.keep(state)
    client = redis_client.Redis.from_url(valkey.url)
    body = client.hget(copy.key, "body") or b""
    for url in (URL.replace("secret", "guessed"), URL.replace("/shop", "/other")):
        other = Copy(valkey.url, url)
        assert other.read() is None
        client.hset(other.key, "body", body)  # type: ignore[arg-type]
        assert other.read() is None
        other.close()
    for place in (0, 40, len(body) - 1):
        client.hset(copy.key, "body", body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])  # type: ignore[arg-type]
        assert copy.read() is None
    client.set(copy.key, b"not even a hash")
    assert copy.read() is None
    client.close()


def test_a_copy_of_another_version_is_refused(engine: sa.Engine, copy: Copy, redis: Any) -> None:
    lines = zlib.decompress(copies.pack(_fill(engine))).split(b"\n")
    head = msgspec.json.decode(lines[0])
    for change in ({"format": 1}, {"items": [*head["items"], "colour"]}, {"keys": "x"}):
        body = zlib.compress(b"\n".join([msgspec.json.encode(head | change), *lines[1:]]))
        redis.hset(copy.key, "body", copy._sign(body))
        assert copy.read() is None


def test_without_redis_there_is_no_copy(engine: sa.Engine, valkey: Valkey) -> None:
    state = _fill(engine)
    assert Copy(None, URL).read() is None and not Copy(None, URL).keep(state)
    copy = Copy(valkey.url, URL)
    valkey.process.kill()
    valkey.process.wait()
    started = time.monotonic()
    assert copy.read() is None and time.monotonic() - started < 5
    with pytest.raises(redis_client.RedisError):
        copy.keep(state)
    copy.close()
