"""An item that came after the model stands in lists the moment it is written."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.test_lists import _ids, _post

LIST = "/v1/customers/c100/recommendations"


def _write(client: Any, item_id: str = "tea-new", **more: Any) -> None:
    row = {
        "item_id": item_id,
        "title": "A new tea",
        "categories": ["drinks", "tea"],
        "brand": "tea",
        "price_cents": 700,
        **more,
    }
    assert client.put("/v1/items", json=[row]).json["accepted"] == 1


def test_a_new_item_stands_in_the_fifth_slot_of_who_likes_its_kind(client: Any) -> None:
    before = _ids(client.get(LIST))
    _write(client)
    _write(client, "coffee-new", categories=["drinks", "coffee"], brand="coffee")
    found = client.get(LIST).json["items"]
    assert [one["item_id"] for one in found] == [*before[:4], "tea-new", *before[4:9]]
    assert [one["slot"] for one in found] == list(range(1, 11))
    assert found[4]["reasons"][0]["code"] == "new_in" and found[4]["fields"]["title"] == "A new tea"
    assert found[4]["propensity"] == 1.0 and found[4]["source"] == "new"
    assert _ids(client.get("/v1/customers/c3/recommendations"))[4] == "coffee-new"


def test_pages_still_continue_each_other(client: Any) -> None:
    for n in range(3):
        _write(client, f"tea-new-{n}")
    whole = _ids(client.get(f"{LIST}?limit=30"))
    pages = [_ids(client.get(f"{LIST}?limit={size}&offset={at}")) for at, size in ((0, 4), (4, 1), (5, 10), (15, 15))]
    assert [one for page in pages for one in page] == whole and len(set(whole)) == 30
    assert [whole.index(f"tea-new-{n}") for n in range(3)] == [24, 14, 4]  # newest first


@pytest.mark.parametrize(
    "more", [{"stock": 0}, {"active": False}, {"sensitive": True}, {"available_from": "2099-01-01T00:00:00Z"},
             {"available_to": "2020-01-01T00:00:00Z"}, {"parent_id": "tea-05"}, {"categories": ["wine"], "brand": "x"}],
)  # fmt: skip
def test_what_may_not_be_shown_or_is_a_variant_or_of_another_kind_is_not(client: Any, more: dict[str, Any]) -> None:
    _write(client, **more)
    assert "tea-new" not in _ids(client.get(f"{LIST}?limit=60"))
    assert "tea-new" not in _ids(client.get("/v1/items/tea-05/similar?limit=60"))


def test_it_leaves_when_it_sells_out_is_left_out_turned_down_or_bought(client: Any) -> None:
    _write(client)
    assert "tea-new" not in _ids(client.get(f"{LIST}?exclude=tea-new"))
    assert "tea-new" not in _ids(client.get(LIST + '?filter={"price_cents":{"lt":600}}'))
    assert "tea-new" not in _ids(client.get(f"{LIST}?max_per=brand:3"))
    for kind in ("dislike", "purchase", "add_to_cart"):
        customer = {"dislike": "c101", "purchase": "c102", "add_to_cart": "c103"}[kind]
        path = f"/v1/customers/{customer}/recommendations"
        assert "tea-new" in _ids(client.get(path))
        _post(client, customer, kind, "tea-new", **({"order_id": "o"} if kind == "purchase" else {}))
        assert "tea-new" not in _ids(client.get(path))
    assert client.patch("/v1/items/tea-new", json={"stock": 0}).status_code == 200
    assert "tea-new" not in _ids(client.get(LIST))


def test_it_stands_beside_its_like_and_among_them_in_a_ranking(client: Any) -> None:
    _write(client)
    assert _ids(client.get("/v1/items/tea-05/similar?limit=10"))[4] == "tea-new"
    assert "tea-new" not in _ids(client.get("/v1/items/coffee-05/bought-together?limit=10&exclude=tea-new"))
    given = ["coffee-03", "tea-new", "tea-03", "coffee-04", "tea-04"]
    ranked = _ids(client.post("/v1/rank", json={"customer_id": "c100", "items": given}))
    assert set(ranked[:3]) == {"tea-03", "tea-04", "tea-new"}


def test_a_shop_without_newcomers_gives_nobody_a_slot_for_them(client: Any) -> None:
    assert not client.application.extensions["recsvc"].current.snapshot.newcomers.items
    assert "new" not in {one["source"] for one in client.get(f"{LIST}?limit=60").json["items"]}


def test_a_cached_list_takes_up_a_newcomer_and_outlives_what_happens_elsewhere(place: Any, valkey: Any) -> None:
    from tests.conftest import until, worker

    client = worker(place, redis_url=valkey.url)
    client.get(LIST)
    assert client.get(LIST).headers["X-Cache"] == "hit"
    _write(client)
    until(lambda: "tea-new" in _ids(client.get(LIST)), 10)
    until(lambda: client.get(LIST).headers["X-Cache"] == "hit", 10)
    assert client.patch("/v1/items/coffee-17", json={"stock": 9}).status_code == 200
    assert client.get(LIST).headers["X-Cache"] == "hit"
    assert client.patch("/v1/items/tea-new", json={"price_cents": 1}).status_code == 200
    found = client.get(LIST)
    assert next(one for one in found.json["items"] if one["item_id"] == "tea-new")["fields"]["price_cents"] == 1
    client.application.extensions["recsvc"].current.stop()
