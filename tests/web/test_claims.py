"""Claims over HTTP: reserved, redeemed, released, expired; never more than there is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import on_both
from tests.web.test_offers import did, put


def claim(client: Any, offer_id: str, customer_id: str = "c100", **more: Any) -> Any:
    return client.post(f"/v1/offers/{offer_id}/claims", json={"customer_id": customer_id, **more})


@on_both
def test_a_claim_is_redeemed_once_and_learnt_from(client: Any) -> None:
    put(client, "mine", capacity=1)
    made = claim(client, "mine", channel="web").json
    assert made["state"] == "reserved" and claim(client, "mine", "c3").json["title"] == "The offer is used up"
    path = f"/v1/claims/{made['claim_id']}/redeem"
    done = client.post(path, json={"order_id": "o-1", "value_cents": 700})
    assert done.json["state"] == "redeemed" and done.json["ended_at"]
    assert client.post(path, json={"order_id": "o-1", "value_cents": 700}).json == done.json
    assert client.post(path, json={"order_id": "o-2"}).status_code == 409
    assert client.post(f"/v1/claims/{made['claim_id']}/release", json={}).status_code == 409
    shop = client.application.extensions["recsvc"]
    with shop.engine.connect() as connection:
        told = connection.exec_driver_sql(
            "SELECT customer_id, order_id FROM interactions WHERE kind = 'offer_redeemed' AND offer_id = 'mine'"
        ).all()
    assert [tuple(row) for row in told] == [("c100", "o-1")]


@on_both
def test_what_is_given_back_or_expires_can_be_claimed_again(client: Any) -> None:
    put(client, "mine", budget={"unit": "spend", "limit": 100}, cost_cents=60, max_per_customer=1)
    made = claim(client, "mine").json
    assert claim(client, "mine", "c3").status_code == 409
    assert client.post(f"/v1/claims/{made['claim_id']}/release", json={}).json["state"] == "released"
    assert client.post(f"/v1/claims/{made['claim_id']}/release", json={}).json["state"] == "released"
    shop = client.application.extensions["recsvc"]
    object.__setattr__(shop.settings, "claim_seconds", 0)
    expired = claim(client, "mine").json
    assert client.post(f"/v1/claims/{expired['claim_id']}/redeem", json={}).status_code == 409
    assert claim(client, "mine", "c3").status_code == 200  # the time of the other was over
    object.__setattr__(shop.settings, "claim_seconds", 60)
    assert claim(client, "mine").status_code == 200
    assert claim(client, "mine", "c3").status_code == 409


@on_both
def test_a_budget_of_redemptions_stops_at_redemption(client: Any) -> None:
    put(client, "mine", budget={"unit": "usage", "counts": "redeemed", "limit": 1, "period": "day"})
    first, second = claim(client, "mine").json, claim(client, "mine", "c3").json
    assert client.post(f"/v1/claims/{first['claim_id']}/redeem", json={}).json["state"] == "redeemed"
    refused = client.post(f"/v1/claims/{second['claim_id']}/redeem", json={})
    assert refused.status_code == 409 and refused.json["title"] == "The offer is used up"
    assert claim(client, "mine", "c4").status_code == 409
    assert client.post(f"/v1/claims/{second['claim_id']}/release", json={}).json["state"] == "released"


def test_who_claims_meets_the_grounds_of_the_list_but_for_how_often_it_was_shown(client: Any) -> None:
    put(client, "mine", cooldown_days=5, max_shown=1)
    did(client, "offer_shown", offer_id="mine")
    assert claim(client, "mine").status_code == 200
    assert "cooldown" in claim(client, "mine").json["detail"]
    put(client, "gold", eligibility={"field": "customer.tier", "op": "eq", "value": "gold"})
    assert "eligibility" in claim(client, "gold").json["detail"]
    put(client, "a", exclusive_group="g")
    put(client, "b", exclusive_group="g")
    assert claim(client, "a").status_code == 200 and "exclusive_group" in claim(client, "b").json["detail"]
    did(client, "complaint")
    put(client, "late")
    assert "paused" in claim(client, "late").json["detail"]


@pytest.mark.parametrize("change", [{"active": False}, {"ends_at": "2020-01-01T00:00:00Z"}, {"capacity": 1}])
def test_a_change_holds_for_every_claim_after_its_commit_in_another_worker_too(
    client: Any, place: Any, change: dict[str, Any]
) -> None:
    from tests.conftest import worker

    put(client, "mine", starts_at="2019-01-01T00:00:00Z", capacity=10)
    assert claim(client, "mine", "c1").status_code == 200
    other = worker(place, poll_ms=10_000)
    assert other.patch("/v1/offers/mine", json=change).status_code == 200
    assert claim(client, "mine", "c2").status_code == 409
    other.application.extensions["recsvc"].current.stop()


def test_what_does_not_exist_is_named(client: Any) -> None:
    assert claim(client, "nothing").status_code == 404
    assert client.post("/v1/claims/nothing/redeem", json={}).status_code == 404
    assert client.post("/v1/offers/on-tea/claims", json={"customer_id": "c1", "offer_id": "x"}).status_code == 400
