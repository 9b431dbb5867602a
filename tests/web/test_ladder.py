"""The cold ladder and the popular lists through the door: what somebody sees of whom nothing is known."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from recsvc.engine import popular
from recsvc.engine.popular import Sales, Window
from recsvc.store import customers as customers_store
from recsvc.store import items as items_store
from tests.planted import catalogue
from tests.web.test_lists import _ids, _post


def _customer(client: Any, customer_id: str, **fields: Any) -> None:
    row = {"customer_id": customer_id, "attributes": {}, **fields}
    customers_store.put(client.application.extensions["recsvc"].engine, [row])
    client.application.extensions["recsvc"].current.refresh(time.time())


def _cold(client: Any, customer_id: str, query: str = "limit=10") -> tuple[str, list[str]]:
    reply = client.get(f"/v1/customers/{customer_id}/recommendations?{query}")
    assert reply.json["source"] == "fallback"
    return reply.json["fallback"], _ids(reply)


def test_preferences_come_before_the_segment_and_are_taken_in_turns(client: Any) -> None:
    _customer(client, "both", segment="coffee", preferences=["tea", "coffee", "no such category"])
    rung, found = _cold(client, "both")
    assert rung == "preferences"
    assert {one.split("-")[0] for one in found[:4]} == {"tea", "coffee"}
    _customer(client, "tea lover", segment="coffee", preferences=["tea"])
    rung, found = _cold(client, "tea%20lover")
    assert rung == "preferences" and all(one.startswith("tea") for one in found)
    _customer(client, "none", segment="coffee", preferences=["no such category"])
    rung, found = _cold(client, "none")
    assert rung == "segment" and all(one.startswith("coffee") for one in found)


def test_a_rung_with_too_little_is_filled_up_from_the_next(client: Any) -> None:
    _customer(client, "narrow", segment="coffee", preferences=["tea"])
    rung, found = _cold(client, "narrow", "limit=50")
    assert rung == "preferences" and len(set(found)) == 50
    kinds = [one.split("-")[0] for one in found]
    assert kinds.index("coffee") > 20 and set(kinds[: kinds.index("coffee")]) == {"tea"}
    assert found[:10] == _cold(client, "narrow")[1]


def test_what_is_asked_for_is_what_trends(client: Any) -> None:
    rung, found = _cold(client, "nobody", "limit=10&category=tea")
    assert rung == "trending" and len(found) == 10 and all(one.startswith("tea") for one in found)
    assert _cold(client, "nobody")[0] == "bestsellers"


def test_a_look_at_something_new_brings_what_trends_beside_it(client: Any) -> None:
    from datetime import UTC, datetime

    shop = client.application.extensions["recsvc"]
    row = next(row for row in catalogue(datetime.now(UTC)) if row["item_id"] == "tea-05")
    items_store.put(shop.engine, [{**row, "item_id": "tea-new"}])
    shop.current.refresh(time.time())
    _post(client, "walk-in", "view", "tea-new")
    rung, found = _cold(client, "walk-in", "limit=5")
    assert rung == "trending" and all(one.startswith("tea") for one in found)


def test_who_wants_no_profile_gets_the_bestsellers(client: Any) -> None:
    _customer(client, "private", segment="tea", preferences=["tea"], profiling=False)
    assert _cold(client, "private")[0] == "bestsellers"


def test_orders_since_the_training_count_in_the_popular_lists(client: Any) -> None:
    shop = client.application.extensions["recsvc"]
    before = client.get("/v1/bestsellers?window_days=7&category=tea").json["items"]
    last = before[-1]["item_id"]
    for n in range(60):
        _post(client, f"buyer{n}", "purchase", last, order_id=f"rush-{n}")
    shop.current.count()
    after = client.get("/v1/bestsellers?window_days=7&category=tea").json["items"]
    assert after[0]["item_id"] == last and after[0]["score"] >= 60
    assert client.get("/v1/trending?window_days=7").json["items"][0]["item_id"] == last
    for n in range(60):
        _post(client, f"buyer{n}", "return", last, order_id=f"rush-{n}")
    shop.current.count()
    assert client.get("/v1/bestsellers?window_days=7&category=tea").json["items"][0]["item_id"] != last


def test_several_categories_are_any_of_them(client: Any) -> None:
    for path in ("bestsellers", "trending"):
        kinds = {one.split("-")[0] for one in _ids(client.get(f"/v1/{path}?category=tea&category=coffee&limit=50"))}
        assert kinds == {"tea", "coffee"}, path
        assert {one[:3] for one in _ids(client.get(f"/v1/{path}?category=tea&limit=50"))} == {"tea"}
    assert _ids(client.get("/v1/new?category=tea&category=coffee&window_days=7")) == ["new-00"]
    assert _ids(client.get("/v1/new?category=tea&window_days=7")) == []


def test_a_window_ends_today_while_the_shop_sells_on_and_else_where_the_history_ends() -> None:
    days = np.arange(100)
    sales = Sales(2, np.zeros(100, np.int64), days, np.full(100, 10.0), 99, np.ones(2, np.float32))
    month = Window(110 * 86400.0, 28)
    assert month.last_day(sales) == 110 and Window(500 * 86400.0, 28).last_day(sales) == 99
    one_click = popular.added(sales, np.array([1]), np.array([500]), np.array([1]))
    assert Window(500 * 86400.0, 28).last_day(one_click) == 99
    goes_on = popular.added(sales, np.array([1]), np.array([500]), np.array([50]))
    assert Window(500 * 86400.0, 28).last_day(goes_on) == 500
    assert goes_on.within(500, 28).tolist() == [0.0, 50.0]
