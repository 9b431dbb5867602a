"""Buy again and timing through the door."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsvc.artifact import current, read
from recsvc.engine import repeat, timing
from recsvc.engine.eligibility import Shelf
from recsvc.engine.model import from_artifact, own_history
from recsvc.engine.repeat import Wanted
from recsvc.store import customers as customers_store
from recsvc.store import items as items_store
from tests.conftest import Place
from tests.planted import catalogue

DAY = 86400


def _again(client: Any, customer_id: str, query: str = "") -> list[dict[str, Any]]:
    return list(client.get(f"/v1/customers/{customer_id}/buy-again?limit=100{query}").json["items"])


def _post(client: Any, customer_id: str, kind: str, item_id: str | None, days_ago: float, **more: Any) -> None:
    body = {"customer_id": customer_id, "kind": kind, "item_id": item_id, "occurred_at": time.time() - days_ago * DAY}
    assert client.post("/v1/interactions", json=body | more).status_code == 200


def test_items_come_by_their_chance_and_say_when(client: Any) -> None:
    found = _again(client, "c3")
    chances = [one["p_due"] for one in found]
    assert len(found) > 3 and chances == sorted(chances, reverse=True) and min(chances) >= 0.02
    for one in found:
        assert one["due_at"] > one["last_bought_at"] and one["score"] == one["p_due"]
    longer = {one["item_id"]: one["p_due"] for one in _again(client, "c3", "&within_days=60")}
    assert all(longer[one["item_id"]] > one["p_due"] for one in found)
    few = _again(client, "c3", "&min_p=0.5")
    assert [one["item_id"] for one in few] == [one["item_id"] for one in found if one["p_due"] >= 0.5]


@pytest.mark.parametrize(
    "query", ["within_days=0", "within_days=366", "min_p=1.1", "min_p=-0.1", "min_p=nan", "min_p="]
)
def test_what_is_out_of_bounds_is_named(client: Any, query: str) -> None:
    reply = client.get(f"/v1/customers/c3/buy-again?{query}")
    assert reply.status_code == 400 and reply.json["errors"][0]["field"] == query.split("=", maxsplit=1)[0]


def test_a_refund_and_a_cancelled_order_are_quiet_at_once(client: Any) -> None:
    for weeks in (3, 2, 1):
        _post(client, "new", "purchase", "tea-03", weeks * 7, order_id=f"o{weeks}")
        _post(client, "new", "purchase", "tea-04", weeks * 7, order_id=f"p{weeks}")
    listed = {one["item_id"]: one for one in _again(client, "new")}
    assert {"tea-03", "tea-04"} <= set(listed)
    _post(client, "new", "refund", "tea-03", 1, order_id="o1")
    _post(client, "new", "cancel", "tea-04", 6, order_id="p1")
    after = {one["item_id"]: one for one in _again(client, "new", "&min_p=0")}
    assert "tea-03" not in after and after["tea-04"]["last_bought_at"] < listed["tea-04"]["last_bought_at"]
    _post(client, "new", "purchase", "tea-03", 0.5, order_id="o0")
    assert "tea-03" in {one["item_id"] for one in _again(client, "new", "&min_p=0")}


def test_what_is_not_repeatable_is_never_listed(client: Any) -> None:
    from datetime import UTC, datetime

    first = _again(client, "c3")[0]["item_id"]
    shop = client.application.extensions["recsvc"]
    row = next(row for row in catalogue(datetime.now(UTC)) if row["item_id"] == first)
    items_store.put(shop.engine, [{**row, "repeatable": False}])
    shop.current.refresh(time.time())
    assert first not in {one["item_id"] for one in _again(client, "c3", "&min_p=0")}


def test_timing_says_when_and_through_what(client: Any) -> None:
    for kind, channel, ago in (("email_open", "email", 1), ("view", "web", 1), ("email_click", "email", 2)):
        _post(client, "c3", kind, "tea-05" if kind == "view" else None, ago, channel=channel)
    _post(client, "c3", "unsubscribe", None, 0.1, channel="sms")
    reply = client.get("/v1/customers/c3/timing")
    found = reply.json
    assert reply.status_code == 200 and found["orders"] >= 25
    assert 5 < found["average_days_between_orders"] < 9 and found["churn_probability"] < 0.2
    assert found["expected_date_of_next_order"] > found["generated_at"] > found["last_order_at"]
    assert found["ranked_channel_affinity"] == ["email", "web"]


def test_who_is_unknown_or_wants_no_profile_gets_nulls(client: Any) -> None:
    nothing = {
        "expected_date_of_next_order": None, "average_days_between_orders": None, "churn_probability": None,
        "ranked_channel_affinity": [], "orders": 0, "last_order_at": None,
    }  # fmt: skip
    assert nothing.items() <= client.get("/v1/customers/nobody/timing").json.items()
    shop = client.application.extensions["recsvc"]
    _post(client, "c3", "view", "tea-05", 1, channel="web")
    customers_store.put(shop.engine, [{"customer_id": "c3", "attributes": {}, "profiling": False}])
    shop.current.refresh(time.time())
    assert nothing.items() <= client.get("/v1/customers/c3/timing").json.items()


def test_without_the_database_timing_is_the_models_and_says_so(client: Any) -> None:
    shop = client.application.extensions["recsvc"]
    whole = client.get("/v1/customers/c3/timing")
    assert "X-Degraded" not in whole.headers
    path = shop.engine.url.database
    shop.engine.dispose()
    Path(path).rename(f"{path}.away")
    reply = client.get("/v1/customers/c3/timing")
    assert reply.status_code == 200 and reply.headers["X-Degraded"] == "database"
    assert reply.json["orders"] == whole.json["orders"] and reply.json["ranked_channel_affinity"] == []


def test_an_artifact_of_before_timing_is_served(planted: Place) -> None:
    found = read(planted.settings.artifact_root, current(planted.settings.artifact_root) or "")
    old = {name: one for name, one in found.arrays.items() if name not in {*timing.ARRAYS, "own_returned_at"}}
    model = from_artifact(replace(found, arrays=old))
    history = own_history(model, 0)
    everything = Shelf(np.ones(model.n_items, bool), np.zeros(model.n_items, bool), np.inf)
    again = repeat.buy_again(model, history, everything, model.decay.as_of, Wanted(10))
    assert len(again.rows) and not history.sent_back.any() and np.isfinite(again.p_due).all()
