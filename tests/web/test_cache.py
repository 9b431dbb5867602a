"""What is cached stands until something it was made from changes, and no longer."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import redis

from recsvc.store import memory, placements, rules
from tests.conftest import Place, Valkey, worker

LIST = "/v1/customers/c3/recommendations"


@pytest.fixture
def client(place: Place, valkey: Valkey) -> Any:
    client = worker(place, redis_url=valkey.url, rate_per_second=0, redis_timeout_ms=1000)
    yield client
    client.application.extensions["recsvc"].current.stop()


def _ids(reply: Any) -> list[str]:
    assert reply.status_code == 200
    return [one["item_id"] for one in reply.json["items"]]


def _warm(client: Any, path: str = LIST) -> Any:
    client.get(path)
    reply = client.get(path)
    assert reply.headers["X-Cache"] == "hit"
    return reply


def _forget(client: Any) -> None:
    """What this process holds itself is of no interest here."""
    client.application.extensions["recsvc"].memory.entries.clear()


@pytest.mark.parametrize("near", [True, False])
def test_another_items_stock_and_price_leave_a_list_alone(client: Any, near: bool) -> None:
    listed = _warm(client)
    for change in ({"stock": 3}, {"stock": 0}, {"price_cents": 7}, {"active": False}):
        assert client.patch("/v1/items/tea-20", json=change).status_code == 200
        near or _forget(client)
        again = client.get(LIST)
        assert again.headers["X-Cache"] == "hit" and again.data == listed.data


@pytest.mark.parametrize("near", [True, False])
@pytest.mark.parametrize(
    "change", [{"stock": 0}, {"price_cents": 7}, {"title": "Anew"}, {"sensitive": True}, {"active": False}]
)
def test_a_listed_items_change_counts_at_once(client: Any, change: dict[str, Any], near: bool) -> None:
    first = _ids(_warm(client))[0]
    assert client.patch(f"/v1/items/{first}", json=change).status_code == 200
    near or _forget(client)
    reply = client.get(LIST)
    assert reply.headers["X-Cache"] == "miss"
    shown = {one["item_id"]: one["fields"] for one in reply.json["items"]}
    if "price_cents" in change or "title" in change:
        assert change.items() <= shown[first].items()
    else:
        assert first not in shown and len(shown) == 10


def test_a_listed_item_that_is_only_sold_leaves_the_list_alone(client: Any) -> None:
    first = _ids(_warm(client))[0]
    assert client.patch(f"/v1/items/{first}", json={"stock": 5}).status_code == 200
    assert client.get(LIST).headers["X-Cache"] == "hit"


def test_the_title_of_a_cited_item_counts(client: Any) -> None:
    for n in range(3):
        row = {"customer_id": "walk-in", "kind": "view", "item_id": f"tea-0{n + 3}"}
        client.post("/v1/interactions", json=row)
    path = "/v1/customers/walk-in/recommendations?limit=3"
    reply = _warm(client, path)
    named = {why["item_id"] for one in reply.json["items"] for why in one["reasons"]} - set(_ids(reply)) - {None}
    assert named
    client.patch(f"/v1/items/{min(named)}", json={"title": "Renamed leaves"})
    reply = client.get(path)
    assert reply.headers["X-Cache"] == "miss" and b"Renamed leaves" in reply.data


def test_a_list_chosen_by_the_customers_row_follows_it(client: Any) -> None:
    path = "/v1/customers/cold-tea/recommendations"
    assert all(one.startswith("tea") for one in _ids(_warm(client, path)))
    row = {"customer_id": "cold-tea", "segment": "coffee", "attributes": {}}
    assert client.put("/v1/customers", json=[row]).status_code == 200
    assert all(one.startswith("coffee") for one in _ids(client.get(path)))


@pytest.mark.parametrize("near", [True, False])
def test_who_wants_no_profile_gets_no_cached_one(client: Any, near: bool) -> None:
    assert _warm(client).json["source"] == "personal"
    assert client.patch("/v1/customers/c3", json={"profiling": False}).status_code == 200
    near or _forget(client)
    assert client.get(LIST).json["source"] == "fallback"
    assert client.get(LIST).json["source"] == "fallback"
    assert client.get("/v1/customers/c4/recommendations").json["source"] == "personal"
    client.patch("/v1/customers/c3", json={"profiling": True})
    assert client.get(LIST).json["source"] == "personal"


def test_a_hit_in_this_process_asks_redis_nothing_for_half_a_second(client: Any, valkey: Valkey) -> None:
    _warm(client)
    with redis.Redis.from_url(valkey.url) as direct:
        before = direct.info("commandstats")["cmdstat_mget"]["calls"]
        started, asked, calls = time.monotonic(), 0, 0
        while calls < 2:
            assert client.get(LIST).headers["X-Cache"] == "hit"
            asked, calls = asked + 1, direct.info("commandstats")["cmdstat_mget"]["calls"] - before
            assert time.monotonic() - started < 30
        assert time.monotonic() - started > 0.5 and asked > calls


def test_what_this_process_holds_is_bounded(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    held = client.application.extensions["recsvc"].memory
    monkeypatch.setattr(memory, "_BYTES", 20_000)
    for n in range(30):
        client.get(f"/v1/customers/c{n}/recommendations")
        assert held.size == sum(len(one.body) for one in held.entries.values()) <= 20_000
    assert held.entries


def _old(client: Any, direct: Any) -> int:
    """Let everything in Redis be in the last tenth of its time. Returns how many there were."""
    keys = _lists(direct)
    for key in keys:
        header, _, body = direct.get(key).partition(b"\n")
        parts = header[1:-1].rsplit(b",", 1)
        direct.set(key, b"[" + parts[0] + b"," + str(time.time() - 1).encode() + b"]\n" + body, ex=60)
    _forget(client)
    return len(keys)


def test_an_old_answer_is_made_anew_by_one_request_while_the_others_have_it(client: Any, valkey: Valkey) -> None:
    first = _warm(client)
    shop = client.application.extensions["recsvc"]
    with redis.Redis.from_url(valkey.url) as direct:
        assert _old(client, direct) == 1
        key = _lists(direct)[0]
        with shop.flights.join(key.decode()):  # somebody makes it anew just now
            reply = client.get(LIST)
            assert reply.headers["X-Cache"] == "stale" and reply.data == first.data
        reply = client.get(LIST)
        assert reply.headers["X-Cache"] == "miss" and reply.json["items"] == first.json["items"]
        assert client.get(LIST).headers["X-Cache"] == "hit"
        # Old is no excuse for wrong.
        _old(client, direct)
        client.patch(f"/v1/items/{_ids(first)[0]}", json={"stock": 0})
        with shop.flights.join(key.decode()):
            assert _ids(first)[0] not in _ids(client.get(LIST))


def test_of_many_who_miss_at_once_one_makes_the_answer(client: Any) -> None:
    began, names = threading.Barrier(8), []

    def ask() -> None:
        other = client.application.test_client()
        began.wait()
        reply = other.get(LIST, headers={"X-API-Key": client.environ_base["HTTP_X_API_KEY"]})
        names.append((reply.headers["X-Cache"], reply.json["recommendation_id"]))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(names) == 8 and len({name for _, name in names}) == 1
    assert sum(cache == "miss" for cache, _ in names) == 1


def test_every_list_has_its_own_time_to_live(client: Any, valkey: Valkey) -> None:
    for n in range(40):
        client.get(f"/v1/customers/c{n}/recommendations")
    with redis.Redis.from_url(valkey.url) as direct:
        assert all(direct.pttl(key) > 0 for key in direct.scan_iter())
        times = sorted(direct.pttl(key) for key in _lists(direct))
    assert len(times) == 40 and times[0] > 500_000 and times[-1] < 661_000 and times[-1] - times[0] > 30_000


def _lists(direct: Any) -> list[bytes]:
    """Return the keys of answers: those of revisions and leases are short."""
    return [key for key in direct.scan_iter() if direct.type(key) == b"string" and direct.strlen(key) > 500]


def _decide(client: Any, table: Any, row: dict[str, Any]) -> None:
    shop = client.application.extensions["recsvc"]
    blank = {column.name: None for column in table.columns}
    shop.write(lambda connection: rules.put(connection, table, {**blank, **row}))
    shop.current.refresh(time.time())


@pytest.mark.parametrize("near", [True, False])
def test_a_rule_counts_at_once_on_cached_lists(client: Any, near: bool) -> None:
    first = _ids(_warm(client))[0]
    rule = {"rule_id": "away", "action": "exclude", "match": {"item_id": {"eq": first}}, "priority": 0}
    _decide(client, rules.rules, rule)
    near or _forget(client)
    assert client.get(LIST).headers["X-Cache"] == "miss"


_CART = {"placement_id": "cart", "filters": {}, "max_per": {}, "fields": [], "cache_seconds": 30, "shared": False}


def test_a_placement_says_how_long_its_lists_are_cached(client: Any, valkey: Valkey) -> None:
    _decide(client, placements.placements, _CART)
    client.get(f"{LIST}?placement=cart")
    with redis.Redis.from_url(valkey.url) as direct:
        assert [20 <= direct.ttl(key) <= 33 for key in _lists(direct)] == [True]
