"""Lists that change: what was shown a moment ago on a channel stands back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Place, Valkey, worker

LIST = "/v1/customers/c3/recommendations?limit=5"
WHOLE = f"{LIST}&rotation_rate=1"


def _ids(client: Any, path: str) -> list[str]:
    reply = client.get(path)
    assert reply.status_code == 200, reply.json
    return [one["item_id"] for one in reply.json["items"]]


def _later(client: Any, seconds: float) -> None:
    """Move this worker's clock."""
    app = client.application
    shop = app.extensions["recsvc"]
    before = shop.clock
    object.__setattr__(shop, "clock", lambda: before() + seconds)


@pytest.fixture(params=["redis", "none"])
def shopper(request: pytest.FixtureRequest, place: Place) -> Any:
    """A client of a worker with a Redis, and of one without."""
    url = request.getfixturevalue("valkey").url if request.param == "redis" else "off"
    return worker(place, redis_url=url, redis_timeout_ms=2000)


def test_with_a_rate_of_one_lists_are_distinct_until_nothing_is_left(shopper: Any) -> None:
    best = _ids(shopper, LIST)
    lists = [_ids(shopper, WHOLE) for _ in range(4)]
    assert lists[0] == best
    assert len({one for found in lists for one in found}) == 20
    for _ in range(40):
        assert len(_ids(shopper, WHOLE)) == 5  # shown before rather than none


def test_each_channel_has_its_own_memory_and_each_customer(shopper: Any) -> None:
    web, mail = _ids(shopper, f"{WHOLE}&channel=web"), _ids(shopper, f"{WHOLE}&channel=email")
    assert web == mail and not set(_ids(shopper, f"{WHOLE}&channel=web")) & set(web)
    other = "/v1/customers/c4/recommendations?limit=5"
    assert _ids(shopper, other) == _ids(shopper, f"{other}&rotation_rate=1&channel=web")


def test_without_rotation_lists_are_the_same_and_are_not_remembered(shopper: Any) -> None:
    best = _ids(shopper, LIST)
    assert all(_ids(shopper, LIST) == best for _ in range(3))
    assert _ids(shopper, WHOLE) == best
    assert _ids(shopper, LIST) == best
    assert shopper.get(WHOLE).headers["X-Cache"] == "miss" == shopper.get(WHOLE).headers["X-Cache"]


def test_an_item_comes_back_when_its_time_is_over(shopper: Any) -> None:
    best = _ids(shopper, f"{WHOLE}&rotation_seconds=60")
    assert not set(_ids(shopper, f"{WHOLE}&rotation_seconds=60")) & set(best)
    _later(shopper, 61)
    assert _ids(shopper, f"{WHOLE}&rotation_seconds=60") == best


def test_a_low_rate_takes_its_part_of_the_relevance(shopper: Any) -> None:
    best = {one["item_id"]: one["score"] for one in shopper.get(f"{LIST}0").json["items"]}
    partly = f"{LIST}&rotation_rate=0.3&rotation_seconds=86400"
    shown = _ids(shopper, partly)
    left = {item_id: score * (0.7 if item_id in shown else 1.0) for item_id, score in best.items()}
    assert _ids(shopper, partly) == sorted(left, key=lambda one: -left[one])[:5] != shown


def test_two_workers_with_one_redis_know_what_the_other_showed(place: Place, valkey: Valkey) -> None:
    one = worker(place, redis_url=valkey.url, redis_timeout_ms=2000)
    two = worker(place, redis_url=valkey.url, redis_timeout_ms=2000)
    assert not set(_ids(one, WHOLE)) & set(_ids(two, WHOLE))


def test_who_wants_no_profile_has_no_rotation(client: Any) -> None:
    client.put("/v1/customers", json={"customer_id": "c3", "profiling": False})
    assert _ids(client, WHOLE) == _ids(client, WHOLE)


@pytest.mark.parametrize("wrong", ["rotation_rate=2", "rotation_rate=x", "rotation_seconds=0", "rotation_seconds=1e9"])
def test_what_cannot_be_is_refused_by_name(client: Any, wrong: str) -> None:
    reply = client.get(f"{LIST}&{wrong}")
    assert reply.status_code == 400 and wrong.partition("=")[0] in reply.json["detail"]


def test_the_channel_is_in_the_record(client: Any) -> None:
    from recsvc.flows import exposures

    client.get(f"{LIST}&channel=web")
    shop = client.application.extensions["recsvc"]
    shop.exposures.close()
    assert {row["channel"] for row in exposures.rows(shop.settings.exposures_folder, 0)} == {"web"}
