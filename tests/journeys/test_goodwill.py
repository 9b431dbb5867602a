"""Goodwill, from what happened to what is proposed: an item that fails its buyers leaves every list at the next hourly
run; what merely did not fit changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recsvc.store import database, interactions, items
from tests.conftest import Place, worker
from tests.planted import CUSTOMERS, Quiet, interaction, small
from training import incremental, run

ITEM = "kettle"
LISTS = (
    "/v1/bestsellers?limit=100", "/v1/bestsellers?limit=100&category=kettles", "/v1/trending?limit=100",
    "/v1/new?window_days=365&limit=100", "/v1/items/coffee-03/similar?limit=100",
    "/v1/items/coffee-03/bought-together?limit=100", "/v1/customers/c3/buy-again?limit=100&min_p=0",
    *[f"/v1/customers/{one}/recommendations?limit=100" for one in ("c3", "c60", "c119", "cold-tea", "nobody")],
)  # fmt: skip


@pytest.fixture
def shop(place: Place) -> Iterator[tuple[Any, Place]]:
    """The planted shop, in which everybody bought a kettle with their coffee or tea three days ago, and a client."""
    engine = database.connect(place.settings.sql_url)
    at = datetime.now(UTC) - timedelta(days=3)
    row = {"item_id": ITEM, "title": "Kettle", "categories": ["drinks", "kettles"], "brand": "K", "active": True,
           "sensitive": False, "created_at": int((at - timedelta(days=100)).timestamp() * 1e6), "attributes": {},
           "price_cents": 900}  # fmt: skip
    items.put(engine, [row])
    bought = [interaction(f"c{n}", one, "purchase", at, order_id=f"k-{n}", quantity=1)
              for n in range(CUSTOMERS) for one in (ITEM, f"{'coffee' if n < CUSTOMERS // 2 else 'tea'}-03")]  # fmt: skip
    interactions.append_many(engine, bought)
    run.train(engine, place.settings.artifact_root, small(), Quiet())
    engine.dispose()
    client = worker(place)
    yield client, place
    client.application.extensions["recsvc"].current.stop()
    client.application.extensions["recsvc"].engine.dispose()


def _has(client: Any, path: str) -> bool:
    reply = client.get(path)
    assert reply.status_code == 200, path
    return ITEM in [one["item_id"] for one in reply.json["items"]]


def _half_return(client: Any, place: Place, reason: str) -> None:
    """Every other buyer returns the kettle; then the hourly run, and the worker takes its version."""
    rows = [{"customer_id": f"c{n}", "item_id": ITEM, "kind": "return", "order_id": f"k-{n}", "reason": reason}
            for n in range(0, CUSTOMERS, 2)]  # fmt: skip
    assert client.post("/v1/interactions", json=rows).json["accepted"] == CUSTOMERS // 2
    engine = database.connect(place.settings.sql_url)
    outcome = incremental.train(engine, place.settings.artifact_root, small(), Quiet())
    engine.dispose()
    current = client.application.extensions["recsvc"].current
    current.refresh(client.application.extensions["recsvc"].clock())
    assert current.snapshot.model.version == outcome.version


def test_what_half_of_its_buyers_return_as_defective_leaves_every_list_and_explain_says_why(
    shop: tuple[Any, Place],
) -> None:
    client, place = shop
    assert ITEM in [one["item_id"] for one in client.get("/v1/bestsellers?limit=3").json["items"]]
    shown = [path for path in LISTS if _has(client, path)]
    assert len(shown) >= 7
    _half_return(client, place, "defective")
    assert [path for path in LISTS if _has(client, path)] == []
    for customer in ("c1", "cold-tea", "nobody"):
        why = client.get(f"/v1/explain?customer_id={customer}&item_id={ITEM}").json
        assert not why["shown"] and why["absent"][0]["code"] == "bad_outcomes"
    ranked = client.post("/v1/rank", json={"customer_id": "c1", "items": [ITEM, "coffee-03"]}).json
    assert [one["item_id"] for one in ranked["items"]] == ["coffee-03"]
    found = client.get(f"/v1/items/{ITEM}/karma").json
    assert (found["multiplier"], found["proposed"], found["code"]) == (0.0, False, "bad_outcomes")
    (outcome,) = found["parts"]["outcomes"]
    assert (outcome["kind"], outcome["reason"], outcome["count"]) == ("return", "defective", CUSTOMERS / 2)
    assert found["parts"]["orders"] == CUSTOMERS
    # (60 defects + 20 orders' worth of what is usual, which is none) of 120 + 20 orders.
    assert found["karma"] == pytest.approx(60 / 140, abs=0.02) == found["parts"]["defect_rate"]


def test_what_half_of_its_buyers_return_for_its_size_changes_neither_balance(shop: tuple[Any, Place]) -> None:
    client, place = shop
    before = client.get(f"/v1/items/{ITEM}/karma").json
    shown = [path for path in LISTS if _has(client, path)]
    _half_return(client, place, "wrong_size")
    after = client.get(f"/v1/items/{ITEM}/karma").json
    assert after["multiplier"] == before["multiplier"] == 1.0 and after["karma"] == before["karma"] == 0.0
    (outcome,) = after["parts"]["outcomes"]
    assert (outcome["reason"], outcome["weight"], outcome["count"]) == ("wrong_size", 0.0, CUSTOMERS / 2)
    assert _has(client, "/v1/bestsellers?limit=100") and _has(client, "/v1/customers/c1/recommendations?limit=100")
    assert len(shown) >= 7
    for customer in ("c0", "c1"):
        found = client.get(f"/v1/customers/{customer}/karma").json
        assert (found["karma"], found["parts"], found["promotions_paused"]) == (0.0, [], False)
