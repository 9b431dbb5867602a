"""Rules and placements through the door: what a merchandiser writes holds in the next list."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import Place, on_both, until, worker

TEA = {"category": {"eq": "tea"}}
C3 = "/v1/customers/c3/recommendations"


def _ids(client: Any, path: str = C3, **query: Any) -> list[str]:
    reply = client.get(path, query_string=query)
    assert reply.status_code == 200, reply.json
    return [one["item_id"] for one in reply.json["items"]]


def _put(client: Any, name: str, **rule: Any) -> Any:
    reply = client.put(f"/v1/rules/{name}", json={"match": {}, **rule})
    assert reply.status_code == 200, reply.json
    return reply.json


def _item(item_id: str) -> dict[str, Any]:
    return {"item_id": {"eq": item_id}}


@on_both
def test_a_rule_takes_effect_in_the_next_list_and_ends_with_its_deletion(client: Any) -> None:
    before = _ids(client)
    last = before[-1]
    assert _put(client, "up", action="pin", match=_item("tea-07"), slot=2)["slot"] == 2
    _put(client, "down", action="pin", match=_item(last), slot=1)
    assert _ids(client)[:2] == [last, "tea-07"]
    _put(client, "gone", action="exclude", match=_item(before[0]))
    assert before[0] not in _ids(client)
    for rule in ("up", "down", "gone"):
        assert client.delete(f"/v1/rules/{rule}").json["accepted"] == 1
    assert _ids(client) == before
    assert client.delete("/v1/rules/up").status_code == 404


def test_what_was_proposed_anyway_keeps_its_score_and_reason_under_a_pin(client: Any) -> None:
    first, *_ = client.get(C3).json["items"]
    _put(client, "own", action="pin", match=_item(first["item_id"]), slot=3)
    assert client.get(C3).json["items"][2] == first | {"slot": 3}


def test_a_boost_lifts_and_a_bury_lowers(client: Any) -> None:
    before = _ids(client, limit=100)
    low, high = before[20], before[0]
    _put(client, "up", action="boost", match=_item(low), factor=1000)
    assert _ids(client, limit=100)[0] == low
    _put(client, "down", action="bury", match=_item(high), factor=0.001)
    after = _ids(client, limit=100)
    assert after[0] == low and after.index(high) > before.index(high) + 10
    others = [one for one in before if one not in {low, high}]
    assert [one for one in after if one in others] == [one for one in others if one in after]


def test_an_include_leaves_only_what_one_of_the_includes_names(client: Any) -> None:
    _put(client, "some", action="include", match={"item_id": {"in": ["coffee-01", "coffee-02", "coffee-03"]}})
    _put(client, "more", action="include", match=_item("tea-01"))
    assert sorted(_ids(client)) == ["coffee-01", "coffee-02", "coffee-03", "tea-01"]
    _put(client, "less", action="exclude", match=_item("coffee-02"))
    assert sorted(_ids(client)) == ["coffee-01", "coffee-03", "tea-01"]
    _put(client, "nothing", action="exclude", match={"price_cents": {"gte": 0}})
    assert _ids(client) == []


def test_a_filter_that_matches_nothing_changes_nothing(client: Any) -> None:
    before = _ids(client)
    for action, more in (("pin", {"slot": 1}), ("boost", {"factor": 9}), ("exclude", {})):
        _put(client, action, action=action, match={"brand": {"eq": "nobody's"}}, **more)
    assert _ids(client) == before


def test_a_rule_holds_in_its_placement_or_everywhere(client: Any) -> None:
    _put(client, "cart", placement="cart", action="pin", match=_item("tea-07"), slot=1)
    assert _ids(client, placement="cart")[0] == "tea-07" != _ids(client)[0]
    _put(client, "all", action="pin", match=_item("tea-08"), slot=2)
    assert _ids(client, placement="cart")[:2] == ["tea-07", "tea-08"] and _ids(client)[1] == "tea-08"


def test_of_two_pins_for_a_slot_the_higher_priority_wins_then_the_lower_id(client: Any) -> None:
    _put(client, "b", action="pin", match=_item("tea-01"), slot=1)
    _put(client, "c", action="pin", match=_item("tea-02"), slot=1)
    assert _ids(client)[0] == "tea-01" and "tea-02" not in _ids(client)
    _put(client, "a", action="pin", match=_item("tea-03"), slot=1, priority=-1)
    assert _ids(client)[0] == "tea-01"
    _put(client, "a", action="pin", match=_item("tea-03"), slot=1, priority=1)
    assert _ids(client)[0] == "tea-03"


def test_a_pin_never_brings_up_what_may_not_be_shown(client: Any) -> None:
    client.post("/v1/interactions", json={"customer_id": "c3", "item_id": "tea-05", "kind": "dislike"})
    for at, item_id in enumerate(("coffee-29", "tea-28", "tea-29", "tea-05", "tea-04"), 1):
        _put(client, item_id, action="pin", match=_item(item_id), slot=at)
    found = _ids(client, exclude="tea-04", limit=100)
    assert not {"coffee-29", "tea-28", "tea-29", "tea-05", "tea-04"} & set(found)
    assert _ids(client)[:1] != ["tea-04"] and _ids(client)[4] == "tea-04"
    client.patch("/v1/items/tea-28", json={"stock": 5})
    assert _ids(client)[1] == "tea-28"
    client.patch("/v1/items/tea-28", json={"stock": 0})
    assert "tea-28" not in _ids(client)


def test_pages_with_pins_go_on_where_the_one_before_ended(client: Any) -> None:
    for slot in (3, 12):
        _put(client, f"p{slot}", action="pin", match=_item(f"tea-{slot:02}"), slot=slot)
    whole = _ids(client, limit=30)
    assert (whole[2], whole[11]) == ("tea-03", "tea-12") and len(set(whole)) == 30
    assert [one for at in (0, 10, 20) for one in _ids(client, limit=10, offset=at)] == whole


def test_a_variant_of_what_is_pinned_has_no_slot_of_its_own(client: Any) -> None:
    first = _ids(client)[0]
    client.patch("/v1/items/tea-07", json={"parent_id": first})
    _put(client, "up", action="pin", match=_item("tea-07"), slot=4)
    found = _ids(client)
    assert found[3] == "tea-07" and first not in found


def test_a_rule_begins_and_ends_at_its_second(client: Any) -> None:
    now = datetime.now(UTC)
    _put(client, "short", action="pin", match=_item("tea-07"), slot=1, starts_at=(now + timedelta(seconds=1)).isoformat(),
         ends_at=(now + timedelta(seconds=2.5)).isoformat())  # fmt: skip
    _put(client, "over", action="pin", match=_item("tea-08"), slot=2, ends_at="2020-01-01T00:00:00Z")
    before = _ids(client)
    assert not {"tea-07", "tea-08"} & set(before)
    until(lambda: _ids(client)[0] == "tea-07")
    assert time.time() >= now.timestamp() + 1
    until(lambda: _ids(client) == before)
    assert time.time() >= now.timestamp() + 2.5


def test_a_rule_follows_the_catalogue(client: Any) -> None:
    _put(client, "cheap", action="include", match={"price_cents": {"lt": 100}})
    assert _ids(client) == []
    client.patch("/v1/items/coffee-01", json={"price_cents": 99})
    assert _ids(client) == ["coffee-01"]
    client.put("/v1/items", json=[_row(n) for n in range(25)])
    assert len(_ids(client, limit=100)) == 25
    client.patch("/v1/items/coffee-01", json={"price_cents": 100})
    assert "coffee-01" not in _ids(client, limit=100) and len(_ids(client, limit=100)) == 24


def _row(n: int) -> dict[str, Any]:
    return {"item_id": f"coffee-{n:02}", "title": "Coffee", "price_cents": 50, "created_at": "2020-01-01T00:00:00Z"}


@on_both
def test_another_worker_follows_at_its_next_look(place: Place) -> None:
    one, other = (
        worker(place, poll_ms=5000, database_timeout_ms=5000),
        worker(place, poll_ms=5000, database_timeout_ms=5000),
    )
    before = _ids(other)
    _put(one, "up", action="pin", match=_item("tea-07"), slot=1)
    one.put("/v1/placements/sale", json={"diversity": 0.5})
    shop = other.application.extensions["recsvc"]
    shop.current.refresh(shop.clock())
    assert _ids(other)[0] == "tea-07" and other.get(C3 + "?placement=sale").status_code == 200
    one.delete("/v1/rules/up")
    shop.current.refresh(shop.clock())
    assert _ids(other) == before
    for client in (one, other):
        client.application.extensions["recsvc"].current.stop()


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"action": "pin"}, "slot"), ({"action": "pin", "slot": 0}, "slot"), ({"action": "pin", "slot": 101}, "slot"),
        ({"action": "pin", "slot": 1, "factor": 2}, "factor"), ({"action": "boost"}, "factor"),
        ({"action": "boost", "factor": 1}, "factor"), ({"action": "bury", "factor": 1}, "factor"),
        ({"action": "bury", "factor": 0}, "factor"), ({"action": "exclude", "slot": 1}, "slot"),
        ({"action": "hide"}, "action"), ({"action": "exclude", "placement": "nowhere"}, "placement"),
        ({"action": "exclude", "match": {"colour": {"eq": 1}}}, "match.colour"),
        ({"action": "exclude", "match": {"price_cents": {"lte": "abc"}}}, "match.price_cents.lte"),
        ({"action": "exclude", "match": None}, "match"), ({"action": "exclude", "priority": 1001}, "priority"),
        ({"action": "exclude", "rule_id": "another"}, "rule_id"), ({"action": "exclude", "color": 1}, "color"),
        ({"action": "exclude", "starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-02T00:00:00Z"}, "ends_at"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_hold_is_refused_and_the_field_named(client: Any, rule: dict[str, Any], field: str) -> None:
    reply = client.put("/v1/rules/bad", json={"match": {}, **rule})
    assert reply.status_code == 400 and [one["field"] for one in reply.json["errors"]] == [field]
    assert client.get("/v1/rules/bad").status_code == 404


@on_both
def test_what_was_put_comes_back(client: Any) -> None:
    rule = {"rule_id": "a/b", "placement": "cart", "action": "boost", "match": {"not": TEA, "stock": {"gte": 1}},
            "factor": 1.5, "slot": None, "starts_at": "2026-01-01T00:00:00Z", "ends_at": None, "priority": 3}  # fmt: skip
    assert _put(client, "a%2Fb", **rule) == rule == client.get("/v1/rules/a%2Fb").json
    assert client.get("/v1/rules").json == {"rules": [rule]}
    sale = {"placement_id": "sale", "filters": TEA, "diversity": 0.5, "max_per": ["brand:2"], "min_relevance": 0.1,
            "fields": ["title"], "cache_seconds": 5, "shared": True}  # fmt: skip
    assert client.put("/v1/placements/sale", json=sale).json == sale == client.get("/v1/placements/sale").json
    listed = client.get("/v1/placements").json["placements"]
    assert [one["placement_id"] for one in listed] == ["cart", "home", "item_page", "newsletter", "sale"]
    assert client.get("/v1/placements/home").json == listed[1]


def test_a_key_replays_a_rule_and_refuses_another_body(client: Any) -> None:
    key = {"Idempotency-Key": "once"}
    body = {"action": "exclude", "match": TEA}
    first = client.put("/v1/rules/r", json=body, headers=key).json
    client.delete("/v1/rules/r")
    assert client.put("/v1/rules/r", json=body, headers=key).json == first
    assert client.get("/v1/rules/r").status_code == 404
    assert client.put("/v1/rules/r", json={**body, "priority": 2}, headers=key).status_code == 409


def test_a_placement_comes_into_being_by_being_put(client: Any) -> None:
    reply = client.get(C3 + "?placement=sale")
    assert reply.status_code == 400 and "home, item_page, cart, newsletter" in reply.json["errors"][0]["message"]
    client.put("/v1/placements/sale", json={"filters": {"not": TEA}, "fields": ["title"], "max_per": ["category:3"]})
    items = client.get(C3 + "?placement=sale&limit=100").json["items"]
    assert len(items) == 3 and all(set(one["fields"]) == {"title"} for one in items)
    assert all(one["item_id"].startswith("coffee") for one in items)
    # What the caller says goes before what the placement says, but not around its filter.
    more = client.get(C3 + "?placement=sale&limit=100&max_per=category:5&category=tea&fields=brand").json["items"]
    assert more == []
    assert len(client.get(C3 + "?placement=sale&limit=100&max_per=category:5").json["items"]) == 5
    _put(client, "here", placement="sale", action="exclude", match=_item("coffee-01"))
    assert client.delete("/v1/placements/sale").status_code == 409
    client.delete("/v1/rules/here")
    assert client.delete("/v1/placements/sale").json["accepted"] == 1
    assert client.get(C3 + "?placement=sale").status_code == 400


def test_a_built_in_placement_loses_its_settings_and_stays(client: Any) -> None:
    before = _ids(client)
    client.put("/v1/placements/home", json={"filters": {"item_id": {"in": ["coffee-01", "coffee-02"]}}})
    assert sorted(_ids(client)) == ["coffee-01", "coffee-02"] and len(_ids(client, placement="cart")) == 10
    assert [client.delete("/v1/placements/home").json["accepted"] for _ in range(2)] == [1, 0]
    assert _ids(client) == before


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"generators": ["collaborative"]}, "generators"), ({"holdout": 0.1}, "holdout"), ({"diversity": 1.5}, "diversity"),
        ({"max_per": ["brand:0"]}, "max_per.0"), ({"max_per": {"brand": 1}}, "max_per"),
        ({"fields": ["colour"]}, "fields.0"), ({"filters": {"brand": "x"}}, "filters.brand"),
        ({"cache_seconds": -1}, "cache_seconds"), ({"placement_id": "b"}, "placement_id"), ({"shared": 1}, "shared"),
    ],
)  # fmt: skip
def test_a_setting_that_is_not_honoured_is_refused(client: Any, settings: dict[str, Any], field: str) -> None:
    reply = client.put("/v1/placements/a", json=settings)
    assert reply.status_code == 400 and [one["field"] for one in reply.json["errors"]] == [field]


def test_without_a_model_a_placement_and_its_rules_still_keep_items_out(client: Any, place: Place) -> None:
    shop = client.application.extensions["recsvc"]
    _put(client, "no", action="exclude", match=_item("coffee-01"))
    _put(client, "tea", placement="cart", action="include", match=TEA)
    (shop.settings.artifact_root / "current").unlink()
    for folder in shop.settings.artifact_root.iterdir():
        folder.rename(place.home / folder.name)
    bare = worker(place, poll_ms=5000)
    assert bare.get(C3).headers["X-Degraded"] == "model"
    found = _ids(bare, limit=100)
    assert "coffee-01" not in found and "coffee-02" in found
    found = _ids(bare, limit=100, placement="cart")
    assert found and all(one.startswith("tea") for one in found)
    bare.application.extensions["recsvc"].current.stop()


def test_pages_and_batches_follow_the_placement_of_each_list(client: Any) -> None:
    client.put("/v1/placements/sale", json={"filters": TEA, "fields": ["title"]})
    _put(client, "up", placement="sale", action="pin", match=_item("tea-07"), slot=1)
    body = {"customer_id": "c3", "blocks": [{"placement": "sale", "limit": 3}, {"placement": "home"}]}
    sale, home = client.post("/v1/pages", json=body).json["blocks"]
    assert sale["items"][0]["item_id"] == "tea-07" and set(sale["items"][0]["fields"]) == {"title"}
    assert all(one["item_id"].startswith("tea") for one in sale["items"]) and len(home["items"]) == 10
    body["blocks"] = [{"placement": "nowhere"}]
    assert client.post("/v1/pages", json=body).status_code == 400
    lines = [{"customer_id": "c3", "placement": "sale"}, {"customer_id": "c4", "placement": "nowhere"}, "c3"]
    first, second, third = map(json.loads, client.post("/v1/batch/recommendations", json=lines).data.splitlines())
    assert first["items"][0]["item_id"] == "tea-07" and second["error"]["code"] == "placement"
    assert third["items"][0]["item_id"] != "tea-07"
