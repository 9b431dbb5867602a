"""Early access, offers beside items, and why an offer comes or not."""

from __future__ import annotations

from typing import Any

from tests.web.test_claims import claim
from tests.web.test_offers import did, put

LIST = "/v1/customers/c100/recommendations?limit=100"


def listed(client: Any, customer_id: str = "c100") -> set[str]:
    reply = client.get(f"/v1/customers/{customer_id}/recommendations?limit=100")
    return {one["item_id"] for one in reply.json["items"]}


def test_an_offer_of_early_access_opens_its_items_to_its_holders_alone(client: Any) -> None:
    client.patch("/v1/items/tea-05", json={"available_from": "2090-01-01T00:00:00Z"})
    fresh = {"item_id": "tea-new", "title": "New", "categories": ["drinks", "tea"], "brand": "tea",
             "available_from": "2090-01-01T00:00:00Z"}  # fmt: skip
    client.put("/v1/items", json=fresh)
    put(client, "early", kind="early_access", items=["tea-05", "tea-new", "tea-28"])
    why = "/v1/explain?customer_id=c100&item_id=tea-05&limit=100"
    assert not {"tea-05", "tea-new"} & listed(client)
    assert client.get(why).json["absent"][0]["code"] == "not_yet_available"
    made = claim(client, "early").json
    assert {"tea-05", "tea-new"} <= listed(client) and "tea-28" not in listed(client)
    assert client.get(why).json["shown"]
    ranked = client.post("/v1/rank", json={"customer_id": "c100", "items": ["tea-05"]}).json
    assert [one["item_id"] for one in ranked["items"]] == ["tea-05"]
    assert not {"tea-05", "tea-new"} & listed(client, "c101")
    client.post(f"/v1/claims/{made['claim_id']}/release", json={})
    assert not {"tea-05", "tea-new"} & listed(client)


def test_a_listed_item_has_the_best_offer_it_belongs_to(client: Any) -> None:
    put(client, "dear", items=["tea-01"], value_cents=9000, priority=1)
    items = client.get(f"{LIST}&include_offers=true").json["items"]
    tied = {one["item_id"]: one["offer"] for one in items}
    assert tied["tea-01"]["offer_id"] == "dear" and tied["tea-02"]["offer_id"] == "on-tea"
    assert tied["tea-15"] is None
    did(client, "complaint")
    assert all(one["offer"] is None for one in client.get(f"{LIST}&include_offers=true").json["items"])
    assert "offer" not in client.get(LIST).json["items"][0]


def test_why_an_offer_comes_or_not(client: Any) -> None:
    put(client, "gold", eligibility={"field": "customer.tier", "op": "eq", "value": "gold"})
    why = client.get("/v1/explain?customer_id=c100&offer_id=on-tea").json
    assert why["shown"] and why["slot"] >= 1 and why["reasons"] and not why["absent"] and why["goodwill"] == 0
    absent = client.get("/v1/explain?customer_id=c100&offer_id=gold").json
    assert not absent["shown"] and absent["absent"][0]["code"] == "eligibility"
    assert client.get("/v1/explain?customer_id=c100&offer_id=nothing").status_code == 404
    assert client.get("/v1/explain?customer_id=c100").status_code == 400
    email = client.get("/v1/explain?customer_id=c100&offer_id=on-tea&channel=email").json
    assert email["absent"][0]["code"] == "no_consent"
