"""Pages, rankings and batches through the door."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.web.test_lists import _change, _ids, _post

PAGE = {"customer_id": "c3", "blocks": [{"placement": "home", "limit": 8}, {"placement": "cart", "limit": 8}]}


def _ask(client: Any, path: str, body: Any) -> Any:
    reply = client.post(path, json=body)
    assert reply.status_code == 200, reply.data
    return reply


def _lines(client: Any, data: bytes, query: str = "", kind: str = "application/x-ndjson") -> list[Any]:
    reply = client.post(f"/v1/batch/recommendations{query}", data=data, content_type=kind)
    assert reply.status_code == 200 and reply.content_type == "application/x-ndjson", reply.data
    return [json.loads(line) for line in reply.data.splitlines()]


@pytest.mark.parametrize("customer", ["c3", "nobody", None])
def test_no_item_stands_twice_on_a_page_and_the_first_block_keeps_it(client: Any, customer: str | None) -> None:
    body = {**PAGE, "customer_id": customer}
    found = _ask(client, "/v1/pages", body).json
    blocks = [[one["item_id"] for one in block["items"]] for block in found["blocks"]]
    together = blocks[0] + blocks[1]
    assert [len(block) for block in blocks] == [8, 8] and len(set(together)) == 16
    assert {block["model_version"] for block in found["blocks"]} == {found["model_version"]}
    assert [block["placement"] for block in found["blocks"]] == ["home", "cart"]
    alone = _ask(client, "/v1/recommendations", {"limit": 8, **({"customer_id": customer} if customer else {})})
    assert blocks[0] == _ids(alone)
    doubled = _ask(client, "/v1/pages", {**body, "distinct": False}).json["blocks"]
    assert [one["item_id"] for one in doubled[0]["items"]] == [one["item_id"] for one in doubled[1]["items"]]


def test_a_page_knows_the_session_and_the_cart(client: Any) -> None:
    found = _ask(client, "/v1/pages", {"blocks": [{"limit": 3}], "items": ["coffee-00"]}).json["blocks"][0]
    assert found["source"] == "session" and found["items"][0]["item_id"] == "coffee-01"


def test_a_ranking_is_the_callers_items_each_once(client: Any) -> None:
    given = [f"{kind}-{n:02}" for n in range(30) for kind in ("tea", "coffee")] + ["nix", "new-00", "tea-05"]
    random.Random(1).shuffle(given)
    found = _ask(client, "/v1/rank", {"customer_id": "c100", "items": given}).json
    ranked, refused = (
        [one["item_id"] for one in found["items"]],
        {one["item_id"]: one["code"] for one in found["not_ranked"]},
    )
    assert sorted([*ranked, *refused]) == sorted(set(given))
    assert refused == {"nix": "unknown", "coffee-29": "unavailable", "tea-28": "unavailable"}
    scores = [one["score"] for one in found["items"]]
    assert scores == sorted(scores, reverse=True) and [one["slot"] for one in found["items"]] == list(
        range(1, len(ranked) + 1)
    )
    assert all(one.startswith("tea") for one in ranked[:15])
    assert found["source"] == "personal"
    assert len(_ask(client, "/v1/rank", {"customer_id": "c100", "items": given, "limit": 4}).json["items"]) == 4


def test_a_ranking_follows_what_happened_and_without_a_history_what_sells(client: Any) -> None:
    items = ["coffee-07", "tea-07"]
    assert _ask(client, "/v1/rank", {"customer_id": "walk-in", "items": items}).json["source"] == "fallback"
    for liked in ("tea-05", "coffee-05"):
        customer = f"likes-{liked}"
        _post(client, customer, "purchase", liked, order_id="o")
        found = _ask(client, "/v1/rank", {"customer_id": customer, "items": items}).json
        assert found["source"] == "live" and found["items"][0]["item_id"].split("-")[0] == liked.split("-")[0]


def test_what_was_turned_down_is_ranked_last(client: Any) -> None:
    asked = {"customer_id": "c3", "items": [f"coffee-{n:02}" for n in range(10)]}
    first = _ask(client, "/v1/rank", asked).json["items"][0]["item_id"]
    _post(client, "c3", "dislike", first)
    found = _ask(client, "/v1/rank", asked).json["items"]
    assert len(found) == 10 and found[-1]["item_id"] == first and found[-1]["score"] <= 0


def test_what_cannot_be_shown_leaves_the_ranking_at_once(client: Any) -> None:
    _change(client, "tea-07", stock=0)
    found = _ask(client, "/v1/rank", {"customer_id": "c3", "items": ["tea-07"]}).json
    assert found["items"] == [] and found["not_ranked"] == [{"item_id": "tea-07", "code": "unavailable"}]


def test_a_batch_says_what_single_questions_say(client: Any) -> None:
    _post(client, "c7", "view", "tea-05")
    customers = [f"c{n}" for n in range(0, 120, 3)] + ["nobody", "cold-tea", "c7"]
    data = b"".join(json.dumps(one).encode() + b"\n" for one in customers)
    found = _lines(client, data, "?limit=4&placement=newsletter")
    assert [one["customer_id"] for one in found] == customers
    for one in found:
        single = client.get(f"/v1/customers/{one['customer_id']}/recommendations?limit=4&placement=newsletter").json
        assert (one["source"], one["fallback"]) == (single["source"], single["fallback"])
        if one["source"] == "live":  # what was just viewed counts a little less each moment
            assert [item["item_id"] for item in one["items"]] == [item["item_id"] for item in single["items"]]
        else:
            assert one["items"] == single["items"]


def test_a_line_may_ask_for_more_than_the_query_string(client: Any) -> None:
    asked = [
        {"customer_id": "c3", "limit": 2, "category": ["tea"]}, "c3",
        {"customer_id": "c3", "filter": {"item_id": {"in": ["tea-05"]}}, "fields": ["title"]},
    ]  # fmt: skip
    found = _lines(client, json.dumps(asked).encode(), "?limit=5", "application/json")
    assert [len(one["items"]) for one in found] == [2, 5, 1]
    assert found[0]["items"][0]["item_id"].startswith("tea") and found[2]["items"][0]["fields"].keys() == {"title"}


def test_a_bad_line_is_told_in_its_place_and_fails_no_other(client: Any) -> None:
    data = (
        b'"c3"\n{"customer_id": "c4", "limit": 0}\n\n{"limit": 3}\nnonsense\n"\\u0000"\n7\n"c5"\n'
        + b'"'
        + b"x" * 2**20
        + b'"\n"c6"'
    )
    found = _lines(client, data)
    told = [one["error"]["code"] if "error" in one else one["customer_id"] for one in found]
    assert told == ["c3", "limit", "customer_id", "body", "customer_id", "body", "c5", "body", "c6"]
    assert [one["index"] for one in found if "error" in one] == [1, 2, 3, 4, 5, 7]
    mixed = _lines(client, b'["c3", NaN, {"customer_id": 5}]', kind="application/json")
    assert [one.get("customer_id") or one["error"]["code"] for one in mixed] == ["c3", "body", "customer_id"]


def test_a_batch_of_thousands_streams_in_pieces(client: Any) -> None:
    data = b"".join(b'"c%d"\n' % (n % 120) for n in range(1500))
    reply = client.post(
        "/v1/batch/recommendations?limit=1", data=data, content_type="application/x-ndjson", buffered=False
    )
    pieces = [piece for piece in reply.response if piece]
    assert len(pieces) == 15 and all(piece.count(b"\n") == 100 for piece in pieces)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("pages", {"blocks": []}, "blocks"), ("pages", {"customer_id": "c3"}, "blocks"),
        ("pages", {**PAGE, "blocks": [{"placement": "cellar"}]}, "blocks.0.placement"), ("pages", {**PAGE, "x": 1}, "x"),
        ("pages", {**PAGE, "blocks": [{"limit": 101}]}, "blocks.0.limit"), ("pages", {**PAGE, "distinct": 1}, "distinct"),
        ("pages", {**PAGE, "blocks": [{}] * 21}, "blocks"), ("rank", {"items": ["a"]}, "customer_id"),
        ("rank", {"customer_id": "c3", "items": []}, "items"), ("rank", {"customer_id": "c3", "items": ["a"] * 1001}, "items"),
        ("rank", {"customer_id": "c3", "items": ["a"], "limit": 0}, "limit"), ("rank", {"customer_id": "c3", "items": [1]}, "items.0"),
        ("batch/recommendations", {"customer_id": "c3", "x": 1}, "x"), ("batch/recommendations", {"limit": 3}, "customer_id"),
        ("batch/recommendations?limit=0", ["c3"], "limit"), ("batch/recommendations?filter=x", ["c3"], "filter"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named(client: Any, path: str, body: Any, field: str) -> None:
    reply = client.post(f"/v1/{path}", json=body)
    assert reply.status_code == 400 and field in reply.json["detail"], reply.json


def test_too_many_rows_are_told_to_come_as_lines(client: Any) -> None:
    reply = client.post("/v1/batch/recommendations", json=["c3"] * 1001)
    assert reply.status_code == 413 and "ndjson" in reply.json["detail"]


def test_without_a_model_pages_rankings_and_batches_are_answered_too(client: Any) -> None:
    shop = client.application.extensions["recsvc"]
    (shop.settings.artifact_root / "current").unlink()
    for version in shop.settings.artifact_root.iterdir():
        version.rename(shop.settings.artifact_root.parent / version.name)
    shop.current._live.refresh()
    shop.current.snapshot = type(shop.current)(shop.engine, shop.current._live, shop.settings.artifact_root, 5).snapshot
    assert shop.current.snapshot.model is None
    found = _ask(client, "/v1/pages", PAGE)
    items = [one["item_id"] for block in found.json["blocks"] for one in block["items"]]
    assert len(set(items)) == 16 and found.headers["X-Degraded"] == "model"
    assert [
        one["item_id"]
        for one in _ask(client, "/v1/rank", {"customer_id": "c3", "items": ["tea-02", "tea-01"]}).json["items"]
    ] == ["tea-02", "tea-01"]
    assert _lines(client, b'"c3"\n', "?limit=3")[0]["source"] == "fallback"
    wanted = client.get('/v1/customers/c3/recommendations?offset=2&limit=3&filter={"category":{"eq":"tea"}}').json[
        "items"
    ]
    assert [one["slot"] for one in wanted] == [3, 4, 5] and all(one["item_id"].startswith("tea") for one in wanted)
