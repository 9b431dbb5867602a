"""The catalogue over HTTP: what is written is read back, and lists obey it at once."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import on_both

ITEM = {"item_id": "tea-05", "title": "Tea", "categories": ["drinks", "tea"], "price_cents": 300, "currency": "EUR"}
LIST = "/v1/customers/c100/recommendations?limit=50"


def _ids(reply: Any) -> list[str]:
    return [one["item_id"] for one in reply.json["items"]]


@on_both
@pytest.mark.parametrize("item_id", ["a/b", "%2F", "😀", "01", "1", "<b>", "a b", "x" * 256])
def test_an_item_comes_back_as_it_was(client: Any, item_id: str) -> None:
    body = {
        **ITEM,
        "item_id": item_id,
        "stock": 3,
        "attributes": {"a": [1, None]},
        "available_to": "2030-01-01T00:00:00.25Z",
    }
    assert client.put("/v1/items", json=body).json == {"accepted": 1, "duplicates": 0, "rejected": []}
    found = client.get(f"/v1/items/{quote(item_id, safe='')}").json
    assert {name: found[name] for name in ("item_id", "stock", "attributes", "price_cents")} == {
        "item_id": item_id, "stock": 3, "attributes": {"a": [1, None]}, "price_cents": 300,
    }  # fmt: skip
    assert found["available_to"] == "2030-01-01T00:00:00.250000Z" and found["active"] is True


@on_both
def test_stock_price_active_and_dates_take_effect_at_once(client: Any) -> None:
    first = _ids(client.get(LIST))[0]
    for change in ({"stock": 0}, {"active": False}, {"available_to": "2020-01-01T00:00:00Z"}, {"sensitive": True}):
        before = client.get(f"/v1/items/{first}").json
        assert client.patch(f"/v1/items/{first}", json=change).status_code == 200
        assert first not in _ids(client.get(LIST)), change
        undo = {name: before[name] for name in change}
        assert client.patch(f"/v1/items/{first}", json=undo).status_code == 200
        assert first in _ids(client.get(LIST)), change
    client.patch(f"/v1/items/{first}", json={"price_cents": 1, "title": "Cheap"})
    shown = client.get(LIST).json["items"][0]
    assert shown["fields"]["price_cents"] == 1 and shown["fields"]["title"] == "Cheap"


@on_both
def test_what_is_deleted_is_gone_and_can_come_back(client: Any) -> None:
    first = _ids(client.get(LIST))[0]
    assert client.delete(f"/v1/items/{first}").status_code == 200
    assert first not in _ids(client.get(LIST)) and client.get(f"/v1/items/{first}").status_code == 404
    assert client.delete(f"/v1/items/{first}").status_code == 404
    client.put("/v1/items", json={**ITEM, "item_id": first})
    assert first in _ids(client.get(LIST))


def test_bulk_in_an_array_and_in_lines(client: Any) -> None:
    rows = [{**ITEM, "item_id": f"new-{n}"} for n in range(800)]
    reply = client.put("/v1/items", json=[*rows, {"item_id": "x"}, {**ITEM, "price_cents": 1.5}]).json
    assert reply["accepted"] == 800 and [one["code"] for one in reply["rejected"]] == ["title", "price_cents"]
    body = "\n".join(json.dumps({**row, "title": "Two"}) for row in rows)
    assert client.put("/v1/items", data=body, content_type="application/x-ndjson").json["accepted"] == 800
    assert client.get("/v1/items/new-799").json["title"] == "Two"


@on_both
def test_a_listing_shows_every_row_once(client: Any) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        page = client.get("/v1/items?limit=7" + (f"&cursor={cursor}" if cursor else "")).json
        seen += [row["item_id"] for row in page["items"]]
        cursor = page["cursor"]
    assert len(seen) == len(set(seen)) == 61 and seen == sorted(seen)
    assert client.get("/v1/items?cursor=%00").status_code == 400
    assert (
        "cursor" in client.get("/v1/offers?limit=2").json
        and len(client.get("/v1/customers?limit=5").json["customers"]) == 5
    )


@on_both
def test_customers_and_their_wish_not_to_be_profiled(client: Any) -> None:
    body = {
        "customer_id": "c100",
        "segment": "tea",
        "consent": {"email": True},
        "quiet_hours": "21:00-08:00",
        "profiling": False,
    }
    assert client.put("/v1/customers", json=body).json["accepted"] == 1
    reply = client.get("/v1/customers/c100/recommendations")
    assert reply.json["source"] == "fallback" and client.get("/v1/customers/c100/buy-again").json["items"] == []
    client.patch("/v1/customers/c100", json={"profiling": True})
    assert client.get("/v1/customers/c100/recommendations").json["source"] == "personal"
    assert client.get("/v1/customers/c100").json["consent"] == {"email": True}


@on_both
def test_offers_written_here_are_offered(client: Any) -> None:
    body = {"offer_id": "mine", "name": "Mine", "kind": "gift", "items": ["tea-01", "tea-02", "tea-03"]}
    assert client.put("/v1/offers", json=body).json["accepted"] == 1
    assert "mine" in [one["offer_id"] for one in client.get("/v1/customers/c100/offers?limit=10").json["offers"]]
    client.patch("/v1/offers/mine", json={"active": False})
    assert "mine" not in [one["offer_id"] for one in client.get("/v1/customers/c100/offers?limit=10").json["offers"]]
    for field, named in (("eligibility", "eligibility.field"), ("budget", "budget.unit"), ("capacity", "capacity")):
        assert client.put("/v1/offers", json={**body, field: {}}).json["errors"][0]["field"] == named


@pytest.mark.parametrize(
    ("path", "change", "field"),
    [
        ("items", {"stock": -1}, "stock"), ("items", {"title": ""}, "title"), ("items", {"title": None}, "title"),
        ("items", {"currency": "eur"}, "currency"), ("items", {"categories": "tea"}, "categories"), ("items", {"item_id": "b"}, "item_id"),
        ("items", {"available_from": "2026-01-02T00:00:00Z", "available_to": "2026-01-01T00:00:00Z"}, "available_to"),
        ("items", {"colour": 1}, "colour"), ("items", {"active": 1}, "active"), ("items", {"attributes": []}, "attributes"),
    ],
)  # fmt: skip
def test_a_bad_change_names_the_field_and_changes_nothing(
    client: Any, path: str, change: dict[str, Any], field: str
) -> None:
    before = client.get("/v1/items/tea-05").json
    reply = client.patch(f"/v1/{path}/tea-05", json=change)
    assert reply.status_code == 400 and field in reply.json["errors"][0]["field"]
    assert client.get("/v1/items/tea-05").json == before


def test_a_change_of_one_item_leaves_the_rest_as_a_full_build_would(client: Any) -> None:
    """The snapshot renewed in place equals one that is built whole."""
    import numpy as np

    from recsvc.flows import current

    held = client.application.extensions["recsvc"].current
    client.patch("/v1/items/tea-03", json={"attributes": {"colour": "red", "odd": 10**400}})
    assert (held.snapshot.traits.attributes.column("colour").codes >= 0).sum() == 1
    client.patch("/v1/items/tea-05", json={"stock": 0, "categories": ["other"], "brand": "Mine", "price_cents": None})
    client.patch("/v1/items/tea-04", json={"attributes": {"colour": ["blue", None]}, "parent_id": "tea-07"})
    client.patch("/v1/items/tea-02", json={"parent_id": "no item"})
    client.delete("/v1/items/tea-06")
    snapshot = held.snapshot
    whole = current._build(snapshot.state, snapshot.model, 0.0)
    for name in ("active", "stock", "opens_at", "closes_at", "sensitive"):
        np.testing.assert_array_equal(getattr(snapshot.availability, name), getattr(whole.availability, name))
    assert {k: v.tolist() for k, v in snapshot.categories.items()} == {
        k: v.tolist() for k, v in whole.categories.items()
    }
    for name in ("parent", "price_cents", "created_at", "available_from", "stock"):
        np.testing.assert_array_equal(getattr(snapshot.traits, name), getattr(whole.traits, name))
    for name in ("colour", "odd", "none"):
        assert _values(snapshot.traits.attributes.column(name)) == _values(whole.traits.attributes.column(name))
    assert _values(snapshot.traits.brand) == _values(whole.traits.brand)
    row = snapshot.model.rows
    assert (
        snapshot.traits.parent[row["tea-04"]] == row["tea-07"]
        and snapshot.traits.parent[row["tea-05"]] == row["tea-05"]
    )


def _values(column: Any) -> list[Any]:
    return [None if code < 0 else column.values[code] for code in column.codes]


def test_a_key_replays_a_change_and_a_deletion(client: Any) -> None:
    key = {"Idempotency-Key": "once"}
    first = client.patch("/v1/items/tea-05", json={"stock": 4}, headers=key).json
    client.patch("/v1/items/tea-05", json={"stock": 9})
    assert client.patch("/v1/items/tea-05", json={"stock": 4}, headers=key).json == first
    assert client.get("/v1/items/tea-05").json["stock"] == 9
    assert client.patch("/v1/items/tea-05", json={"stock": 5}, headers=key).status_code == 409
    gone = {"Idempotency-Key": "gone"}
    for _ in range(2):
        assert client.delete("/v1/items/tea-05", headers=gone).json["accepted"] == 1
    assert client.delete("/v1/items/tea-05").status_code == 404
    assert client.delete("/v1/items/tea-06", headers=gone).status_code == 409


def test_there_are_no_lists_around_an_item_that_is_gone(client: Any) -> None:
    assert client.get("/v1/items/tea-05/similar").status_code == 200
    client.delete("/v1/items/tea-05")
    for name in ("similar", "bought-together"):
        assert client.get(f"/v1/items/tea-05/{name}").status_code == 404


def test_an_end_that_contradicts_the_start_that_is_stored_is_a_conflict(client: Any) -> None:
    reply = client.patch("/v1/offers/to-come", json={"ends_at": "2020-01-01T00:00:00Z"})
    assert reply.status_code == 409 and reply.json["errors"][0]["field"] == "ends_at"
    both = {"starts_at": "2021-01-01T00:00:00Z", "ends_at": "2020-01-01T00:00:00Z"}
    assert client.patch("/v1/offers/to-come", json=both).status_code == 400


@on_both
def test_an_item_is_created_once(client: Any) -> None:
    client.put("/v1/items", json={**ITEM, "item_id": "born"})
    born = client.get("/v1/items/born").json["created_at"]
    assert born is not None
    old = {**ITEM, "item_id": "old", "created_at": "2020-01-01T00:00:00Z"}
    client.put("/v1/items", json=old)
    for body in ({}, {"stock": 5}):
        assert client.patch("/v1/items/born", json=body).json["created_at"] == born
    client.put("/v1/items", json=[{**ITEM, "item_id": "born", "title": "Two"}, {**ITEM, "item_id": "old"}])
    assert client.get("/v1/items/born").json["created_at"] == born
    assert client.get("/v1/items/old").json["created_at"] == "2020-01-01T00:00:00Z"


@on_both
def test_an_item_of_unknown_age_does_not_become_new(client: Any) -> None:
    client.patch("/v1/items/tea-05", json={"created_at": None})
    for body in ({}, {"stock": 5}):
        assert client.patch("/v1/items/tea-05", json=body).json["created_at"] is None
    client.put("/v1/items", json={**ITEM, "item_id": "tea-05"})
    assert client.get("/v1/items/tea-05").json["created_at"] is None
