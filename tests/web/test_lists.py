"""Lists through the door: key in, JSON out."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import pytest

from recsvc.store import items as items_store
from tests.planted import catalogue


def _ids(reply: Any) -> list[str]:
    return [one["item_id"] for one in reply.json["items"]]


def _post(client: Any, customer_id: str, kind: str, item_id: str | None = None, **more: Any) -> Any:
    body = {"customer_id": customer_id, "kind": kind, "item_id": item_id, **more}
    return client.post("/v1/interactions", json={name: value for name, value in body.items() if value is not None})


def _change(client: Any, item_id: str, **fields: Any) -> None:
    """Write an item and let this worker look, as its watcher does every quarter of a second."""
    from datetime import UTC, datetime

    shop = client.application.extensions["recsvc"]
    row = next(row for row in catalogue(datetime.now(UTC)) if row["item_id"] == item_id)
    items_store.put(shop.engine, [{**row, **fields}])
    shop.current.refresh(time.time())


def test_two_customers_get_lists_after_their_taste(client: Any) -> None:
    coffee, tea = client.get("/v1/customers/c3/recommendations"), client.get("/v1/customers/c100/recommendations")
    assert coffee.json["source"] == tea.json["source"] == "personal"
    assert all(one.startswith("coffee") for one in _ids(coffee)) and all(one.startswith("tea") for one in _ids(tea))
    assert [one["slot"] for one in coffee.json["items"]] == list(range(1, 11))
    assert coffee.json["items"][0]["fields"]["title"].startswith("The coffee-")


def test_an_unknown_customer_gets_a_list_that_says_so(client: Any) -> None:
    reply = client.get("/v1/customers/nobody/recommendations?limit=20")
    assert (reply.json["source"], reply.json["fallback"]) == ("fallback", "bestsellers")
    assert len(set(_ids(reply))) == 20 and reply.json["customer_id"] == "nobody"
    assert reply.json["items"][0]["reasons"][0]["text"] == "Popular with other customers"


def test_a_customer_without_history_gets_their_segments_list(client: Any) -> None:
    reply = client.get("/v1/customers/cold-tea/recommendations?limit=5")
    assert reply.json["fallback"] == "segment" and all(one.startswith("tea") for one in _ids(reply))


@pytest.mark.parametrize("customer", ["c3", "nobody"])
def test_what_must_not_be_shown_is_in_no_list(client: Any, customer: str) -> None:
    never = {"coffee-29", "tea-28", "tea-29"}
    for path in (
        f"/v1/customers/{customer}/recommendations?limit=100", "/v1/bestsellers?limit=100", "/v1/trending?limit=100",
        "/v1/new?window_days=365&limit=100", "/v1/items/tea-27/similar?limit=100", "/v1/items/coffee-28/bought-together",
    ):  # fmt: skip
        assert not never & set(_ids(client.get(path))), path
    assert not {"coffee-29", "tea-28"} & set(_ids(client.get(f"/v1/customers/{customer}/buy-again?limit=100")))


def test_a_sensitive_item_is_only_in_its_buyers_buy_again(client: Any) -> None:
    for weeks in (1, 2, 3, 4):
        _post(client, "fresh", "purchase", "tea-29", order_id=f"o{weeks}", occurred_at=time.time() - weeks * 7 * 86400)
    _post(client, "fresh", "view", "tea-05")
    home = client.get("/v1/customers/fresh/recommendations?limit=100")
    again = client.get("/v1/customers/fresh/buy-again")
    assert "tea-29" not in _ids(home) and len(_ids(home)) > 10 and _ids(again) == ["tea-29"]
    for one in home.json["items"] + again.json["items"]:
        assert all(reason["item_id"] != "tea-29" for reason in one["reasons"])


def test_excluded_items_are_left_out_repeated_or_by_comma(client: Any) -> None:
    first = _ids(client.get("/v1/customers/c3/recommendations?limit=3"))
    repeated = client.get(f"/v1/customers/c3/recommendations?limit=10&exclude={first[0]}&exclude={first[1]}")
    joined = client.get(f"/v1/customers/c3/recommendations?limit=10&exclude={first[0]},{first[1]}")
    assert _ids(repeated) == _ids(joined) and not set(first[:2]) & set(_ids(joined)) and len(_ids(joined)) == 10


def test_a_view_changes_the_next_list_of_a_newcomer(client: Any) -> None:
    before = _ids(client.get("/v1/customers/walk-in/recommendations"))
    assert _post(client, "walk-in", "view", "tea-05").json == {"accepted": 1, "duplicates": 0, "rejected": []}
    after = client.get("/v1/customers/walk-in/recommendations")
    assert after.json["source"] == "live" and _ids(after) != before
    assert all(one.startswith("tea") for one in _ids(after)[:5])
    cited = [one["reasons"][0]["item_id"] for one in after.json["items"][:5]]
    assert "tea-05" in cited and set(cited) <= {"tea-05", None}


def test_a_cart_brings_complements_and_a_dislike_removes(client: Any) -> None:
    path = "/v1/customers/c100/recommendations"
    before = _ids(client.get(path))
    _post(client, "c100", "add_to_cart", "coffee-00")
    assert "coffee-01" in _ids(client.get(path)) and "coffee-00" not in _ids(client.get(path))
    _post(client, "c100", "dislike", before[0])
    after = _ids(client.get(path))
    assert before[0] not in after and before[0] not in _ids(client.get("/v1/customers/c100/buy-again?limit=100"))
    _post(client, "c100", "remove_from_cart", "coffee-00")
    assert "coffee-01" not in _ids(client.get(path))


def test_what_was_just_bought_leaves_the_list_and_is_remembered(client: Any) -> None:
    path = "/v1/customers/c3/recommendations"
    first = _ids(client.get(path))[0]
    again_path = "/v1/customers/c3/buy-again?limit=100&min_p=0"
    known = next(one for one in client.get(again_path).json["items"] if one["item_id"] == first)
    _post(client, "c3", "purchase", first, order_id="new", quantity=1, value_cents=500)
    assert first not in _ids(client.get(path))
    again = next(one for one in client.get(again_path).json["items"] if one["item_id"] == first)
    assert again["last_bought_at"] > known["last_bought_at"] and again["due_at"] > known["due_at"]


def test_the_same_interaction_sent_twice_has_one_effect(client: Any) -> None:
    for accepted, duplicates in ((1, 0), (0, 1), (0, 1)):
        reply = _post(client, "c3", "view", "tea-05", interaction_id="once")
        assert reply.json == {"accepted": accepted, "duplicates": duplicates, "rejected": []}


def test_stock_closing_and_opening_takes_effect(client: Any) -> None:
    path = "/v1/customers/c3/recommendations?limit=5"
    first = _ids(client.get(path))[0]
    _change(client, first, stock=0)
    assert first not in _ids(client.get(path)) and len(_ids(client.get(path))) == 5
    _change(client, first, stock=5)
    assert _ids(client.get(path))[0] == first
    _change(client, first, available_to=int((time.time() - 1) * 1e6))
    assert first not in _ids(client.get(path))


def test_buy_again_says_when_and_how_often(client: Any) -> None:
    items = client.get("/v1/customers/c3/buy-again?limit=5").json["items"]
    assert len(items) == 5
    for one in items:
        assert one["interval_days"] > 0 and one["last_bought_at"].endswith("Z")
        assert one["reasons"][0]["code"] == "due_again" and one["reasons"][0]["text"].startswith("You bought this")
    assert client.get("/v1/customers/nobody/buy-again").json["items"] == []


def test_new_lists_what_nobody_bought_yet(client: Any) -> None:
    reply = client.get("/v1/new?window_days=7")
    assert _ids(reply) == ["new-00"] and reply.json["items"][0]["reasons"][0]["code"] == "new_in"
    similar = client.get("/v1/items/new-00/similar?limit=4")
    assert similar.json["fallback"] == "bestsellers" and all(one.startswith("coffee") for one in _ids(similar))


def test_a_category_narrows_the_popular_lists(client: Any) -> None:
    for name in ("bestsellers", "trending"):
        assert all(one.startswith("tea") for one in _ids(client.get(f"/v1/{name}?category=tea")))
    assert _ids(client.get("/v1/bestsellers?category=wine")) == []


def test_offers_hold_their_dates_and_follow_the_customer(client: Any) -> None:
    coffee = client.get("/v1/customers/c3/offers").json["offers"]
    assert [one["offer_id"] for one in coffee] == ["on-coffee", "on-tea"]
    assert coffee[0]["reasons"][0]["code"] == "offer_fit" and coffee[0]["reasons"][0]["item_id"].startswith("coffee")
    assert coffee[0]["estimated"] == ["p_redeem", "score", "value_cents"]
    assert coffee[0]["p_redeem"] > coffee[1]["p_redeem"] > 0
    assert client.get("/v1/customers/c100/offers?limit=1").json["offers"][0]["offer_id"] == "on-tea"
    assert client.get("/v1/customers/nobody/offers").json["offers"][0]["reasons"][0]["code"] == "fallback"


@pytest.mark.parametrize("customer_id", ["a/b", "%2F", "😀", "01", "a b", "..a", "x" * 256, "<script>", "a?b#c"])
def test_any_id_makes_the_round_trip(client: Any, customer_id: str) -> None:
    assert _post(client, customer_id, "purchase", "tea-05", order_id="o").json["accepted"] == 1
    reply = client.get(f"/v1/customers/{quote(customer_id, safe='')}/buy-again")
    assert reply.json["customer_id"] == customer_id and _ids(reply) == ["tea-05"]


def test_ids_that_differ_stay_apart(client: Any) -> None:
    _post(client, "1", "purchase", "tea-05", order_id="o")
    assert [_ids(client.get(f"/v1/customers/{one}/buy-again")) for one in ("1", "01", "1.0")] == [["tea-05"], [], []]


def test_an_etag_saves_the_bytes_but_names_the_exposure(client: Any) -> None:
    first = client.get("/v1/bestsellers")
    assert (
        first.headers["Cache-Control"] == "private, no-cache" and first.headers["X-Content-Type-Options"] == "nosniff"
    )
    # Without Redis each answer is made anew, so only the very same bytes are unchanged.
    etag = first.headers["ETag"]
    assert client.get("/v1/bestsellers", headers={"If-None-Match": '"other"'}).status_code == 200
    assert (
        etag.startswith('"')
        and first.headers["X-Exposure-Id"] != client.get("/v1/bestsellers").headers["X-Exposure-Id"]
    )


def test_a_dislike_holds_whatever_else_is_done_until_it_is_bought(client: Any) -> None:
    path = "/v1/customers/c3/recommendations?limit=30"
    first = _ids(client.get(path))[0]
    _post(client, "c3", "dislike", first, occurred_at="2026-11-20T10:00:00Z")
    rows = [{"customer_id": "c3", "kind": "view", "item_id": first, "interaction_id": f"v{n}"} for n in range(20)]
    rows += [{"customer_id": "c3", "kind": "view", "item_id": "tea-05", "interaction_id": f"w{n}"} for n in range(600)]
    assert client.post("/v1/interactions", json=rows).json["accepted"] == 620
    _post(client, "c3", "purchase", first, order_id="late", occurred_at="2026-11-19T10:00:00Z")
    _post(client, "c3", "purchase", first, order_id="same", occurred_at="2026-11-20T10:00:00Z")
    assert first not in _ids(client.get(path)) and first not in _ids(client.get("/v1/customers/c3/buy-again?limit=100"))
    _post(client, "c3", "purchase", first, order_id="again", occurred_at="2026-11-20T11:00:00Z")
    assert first in _ids(client.get("/v1/customers/c3/buy-again?limit=100"))


def test_a_purchase_leaves_the_list_for_buy_again_and_its_complement_comes_up(client: Any) -> None:
    path = "/v1/customers/c100/recommendations"
    assert "coffee-01" not in _ids(client.get(path))
    _post(client, "c100", "purchase", "coffee-00", order_id="new", quantity=1, value_cents=500)
    after = client.get(path).json["items"]
    brought = next(one for one in after if one["item_id"] == "coffee-01")
    assert brought["reasons"][0]["code"] == "bought_together" and brought["reasons"][0]["item_id"] == "coffee-00"
    assert "coffee-00" not in {one["item_id"] for one in after}
    assert "coffee-00" in _ids(client.get("/v1/customers/c100/buy-again?limit=100&min_p=0"))


def test_a_dislike_pushes_down_what_is_like_it(client: Any) -> None:
    path = "/v1/customers/walk-in/recommendations?limit=40"
    _post(client, "walk-in", "view", "tea-05")
    _post(client, "walk-in", "view", "coffee-05")
    kinds = [one.split("-")[0] for one in _ids(client.get(path))]
    teas = kinds[:10].count("tea")
    _post(client, "walk-in", "dislike", "tea-05")
    after = [one.split("-")[0] for one in _ids(client.get(path))]
    assert teas > 0 and after[:10].count("tea") < teas
