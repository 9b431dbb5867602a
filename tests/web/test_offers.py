"""A customer's offers, asked as a shop asks: who gets what, why not the rest, and what a sending keeps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import on_both

PATH = "/v1/customers/c100/offers"


def put(client: Any, offer_id: str, **fields: Any) -> None:
    body = {"offer_id": offer_id, "name": offer_id, "kind": "gift", "items": ["tea-01"], "value_cents": 1000, **fields}
    reply = client.put("/v1/offers", json=body)
    assert reply.status_code == 200 and reply.json["accepted"] == 1, reply.json


def customer(client: Any, **fields: Any) -> None:
    assert client.put("/v1/customers", json={"customer_id": "c100", "segment": "tea", **fields}).status_code == 200


def did(client: Any, kind: str, **fields: Any) -> None:
    body = {"customer_id": "c100", "kind": kind, **fields}
    assert client.post("/v1/interactions", json=body).json["accepted"] == 1


def asked(client: Any, **query: Any) -> dict[str, Any]:
    reply = client.get(PATH, query_string={"limit": 20, "explain": "true", **query})
    assert reply.status_code == 200, reply.json
    return dict(reply.json)


def offered(client: Any, **query: Any) -> list[str]:
    return [one["offer_id"] for one in asked(client, **query)["offers"]]


def codes(client: Any, **query: Any) -> dict[str, str]:
    return {one["offer_id"]: one["code"] for one in asked(client, **query)["not_eligible"]}


def test_offers_are_ordered_by_expected_money_and_priority_goes_before(client: Any) -> None:
    put(client, "dear", value_cents=2000, cost_cents=500)
    put(client, "cheap", value_cents=600, cost_cents=500)
    put(client, "first", value_cents=0, priority=1)
    found = asked(client)["offers"]
    names = [one["offer_id"] for one in found]
    assert names[0] == "first" and names.index("dear") < names.index("cheap")
    one = found[names.index("dear")]
    assert one["score"] == pytest.approx(one["p_redeem"] * 1500, abs=1e-3) and 0 < one["p_redeem"] < 1
    assert one["reasons"][0]["code"] == "offer_fit" and one["reasons"][0]["item_id"] == "tea-01"
    assert one["uplift"] is None and one["claim_id"] is None and "p_redeem" in one["estimated"]


def test_who_buys_anyway_gets_discounts_last(client: Any) -> None:
    put(client, "discount", kind="discount", value_cents=5000)
    put(client, "tasting", kind="experience", value_cents=1)
    shop = client.application.extensions["recsvc"]
    object.__setattr__(shop.settings, "likely_buyer", 0.0)
    assert offered(client).index("tasting") < offered(client).index("discount")
    object.__setattr__(shop.settings, "likely_buyer", 1.0)
    assert offered(client).index("discount") < offered(client).index("tasting")


@pytest.mark.parametrize(
    ("fields", "query", "code"),
    [
        ({"active": False}, {}, "inactive"),
        ({"starts_at": "2090-01-01T00:00:00Z"}, {}, "not_started"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, {}, "ended"),
        ({}, {"kinds": "event"}, "other_kind"),
        ({"channels": ["store"]}, {}, "channel"),
        ({"eligibility": {"field": "customer.tier", "op": "eq", "value": "gold"}}, {}, "eligibility"),
        ({"capacity": 0}, {}, "capacity"),
        ({"budget": {"unit": "usage", "counts": "issued", "limit": 0}}, {}, "budget"),
        ({"items": ["tea-28"]}, {}, "unavailable"),
        ({}, {"limit": 1}, "below_rank"),
        ({}, {"channel": "email"}, "no_consent"),
    ],
)
def test_every_refusal_has_a_code_and_a_detail(
    client: Any, fields: dict[str, Any], query: dict[str, Any], code: str
) -> None:
    put(client, "better", value_cents=100_000, priority=1)
    put(client, "mine", **fields)
    found = {one["offer_id"]: one for one in asked(client, **query)["not_eligible"]}
    assert found["mine"]["code"] == code and found["mine"]["detail"]


def test_caps_and_cooldown_count_what_was_shown_and_claimed(client: Any) -> None:
    put(client, "seldom", cooldown_days=7)
    put(client, "twice", max_shown=2)
    put(client, "once", max_per_customer=1)
    assert {"seldom", "twice", "once"} <= set(offered(client))
    did(client, "offer_shown", offer_id="seldom")
    did(client, "offer_shown", offer_id="twice")
    assert codes(client)["seldom"] == "cooldown" and "twice" in offered(client)
    did(client, "offer_shown", offer_id="twice", occurred_at="2026-01-01T00:00:00Z")
    assert codes(client)["twice"] == "max_shown"
    assert client.post("/v1/offers/once/claims", json={"customer_id": "c100"}).status_code == 200
    assert codes(client)["once"] == "max_per_customer"


def test_of_one_group_one_comes_and_what_does_not_stack_comes_alone(client: Any) -> None:
    put(client, "a", exclusive_group="g", value_cents=9000, priority=2)
    put(client, "b", exclusive_group="g", value_cents=8000, priority=2)
    put(client, "alone", stackable=False, value_cents=10, priority=1)
    assert codes(client)["b"] == "exclusive_group" and codes(client)["alone"] == "not_stackable"
    put(client, "alone", stackable=False, priority=3)
    assert offered(client) == ["alone"] and codes(client)["a"] == "not_stackable"


def test_a_complaint_pauses_promotions_until_it_is_resolved(client: Any) -> None:
    put(client, "call", kind="service", items=[])
    assert "on-tea" in offered(client)
    did(client, "return", item_id="tea-01", reason="wrong_size")
    assert "on-tea" in offered(client)
    did(client, "complaint", subject="late", ref="ticket-1")
    assert offered(client) == ["call"] and codes(client)["on-tea"] == "paused"
    did(client, "complaint_resolved", ref="ticket-2")
    assert offered(client) == ["call"]
    did(client, "complaint_resolved", ref="ticket-1")
    assert "on-tea" in offered(client)


def test_conditions_look_at_the_cart_the_history_and_the_clock(client: Any) -> None:
    put(client, "cart", eligibility={"field": "cart.item_id", "op": "eq", "value": "tea-05"})
    put(client, "rich", eligibility={"field": "cart.value_cents", "op": "gte", "value": 1000})
    put(client, "tea-lover", eligibility={"field": "history.category", "op": "in", "value": ["tea"]})
    put(client, "coffee-lover", eligibility={"field": "history.category", "op": "in", "value": ["coffee"]})
    put(client, "always", eligibility={"any": [{"field": "time.hour", "op": "lt", "value": 12},
                                               {"field": "time.hour", "op": "gte", "value": 12}]})  # fmt: skip
    assert {"cart", "rich", "coffee-lover"} <= codes(client).keys() and {"tea-lover", "always"} <= set(offered(client))
    assert {"cart", "rich"} <= set(offered(client, items="tea-05,tea-06"))


def test_the_channel_is_decided_by_consent_preference_and_quiet_hours(client: Any) -> None:
    customer(client, consent={"email": True, "sms": True}, preferred_channel="sms")
    assert asked(client)["channel_decision"] == {"channel": "web", "why": "default", "consent": True, "detail": None}
    assert asked(client, channel="best")["channel_decision"]["channel"] == "sms"
    assert asked(client, channel="email")["channel_decision"]["why"] == "asked"
    did(client, "unsubscribe", channel="sms")
    assert asked(client, channel="sms")["channel_decision"]["why"] == "no_consent"
    assert asked(client, channel="best")["channel_decision"]["why"] == "consented"
    did(client, "email_click", channel="email")
    assert asked(client, channel="best")["channel_decision"]["why"] == "observed"
    customer(client, consent={"email": True}, quiet_hours="00:00-23:59", time_zone="Europe/Lisbon")
    quiet = asked(client, channel="email")
    assert quiet["channel_decision"]["why"] == "quiet_hours" and not quiet["offers"]
    did(client, "unsubscribe")
    assert asked(client, channel="email")["channel_decision"]["why"] == "no_consent"


@on_both
def test_a_sending_is_decided_and_counted_once(client: Any) -> None:
    customer(client, consent={"email": True}, contact_cap=1)
    put(client, "mine", capacity=5, priority=5)
    body = {"send_id": "s-1", "channel": "email", "reserve": True, "limit": 2}
    assert client.post(PATH, json={**body, "dry_run": True}).json["offers"][0]["claim_id"] is None
    first = client.post(PATH, json=body).json
    assert first["offers"][0]["offer_id"] == "mine" and first["offers"][0]["claim_id"]
    put(client, "newer", priority=9)
    assert client.post(PATH, json=body).json == first
    other = client.post(PATH, json={**body, "send_id": "s-2"}).json
    assert other["offers"] == [] and other["channel_decision"]["why"] == "contact_cap"
    client.patch("/v1/offers/mine", json={"active": False})
    assert [one["offer_id"] for one in client.post(PATH, json=body).json["offers"]] == ["on-tea"]
    did(client, "unsubscribe", channel="email")
    gone = client.post(PATH, json={**body, "explain": True}).json
    assert gone["offers"] == [] and {one["code"] for one in gone["not_eligible"]} == {"no_consent"}


def test_what_did_not_go_out_is_decided_when_it_can(client: Any) -> None:
    customer(client, consent={}, contact_cap=1)
    body = {"send_id": "s-1", "limit": 1}
    assert client.post(PATH, json=body).json["channel_decision"]["why"] == "no_consent"
    customer(client, consent={"sms": True}, contact_cap=1)
    first = client.post(PATH, json=body).json
    assert first["channel"] == "sms" and first["offers"]
    assert client.post(PATH, json={**body, "channel": "sms"}).json == first  # what `best` was is that channel's, too
    assert client.post(PATH, json=body).json == first


def test_the_same_idempotency_key_reserves_once(client: Any) -> None:
    put(client, "few", capacity=1, priority=5)
    headers = {"Idempotency-Key": "k-1"}
    first = client.post(PATH, json={"reserve": True, "limit": 1}, headers=headers).json
    assert first["offers"][0]["claim_id"]
    assert client.post(PATH, json={"reserve": True, "limit": 1}, headers=headers).json == first
    assert client.post(PATH, json={"reserve": True, "limit": 2}, headers=headers).status_code == 409


def test_a_batch_answers_a_line_for_a_line(client: Any) -> None:
    lines = [json.dumps("c100"), json.dumps({"customer_id": "c3", "limit": 1}), "{", json.dumps({"customer_id": ""})]
    reply = client.post("/v1/batch/offers?limit=5", data="\n".join(lines), content_type="application/x-ndjson")
    found = [json.loads(line) for line in reply.data.splitlines()]
    assert [one.get("customer_id") for one in found] == ["c100", "c3", None, None]
    assert len(found[1]["offers"]) == 1 and found[2]["index"] == 2 and found[3]["error"]["code"] == "customer_id"
    assert found[0]["offers"] == client.get(f"{PATH}?limit=5").json["offers"]


def test_the_text_is_in_the_customers_language(client: Any) -> None:
    put(client, "mine", creative={"en": "For you", "pt": "Para si"})
    client.put("/v1/customers", json={"customer_id": "c100", "locale": "pt-BR"})
    found = {one["offer_id"]: one for one in asked(client)["offers"]}["mine"]
    assert found["creative"] == "Para si" and found["reasons"][0]["text"].startswith("Costuma")


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("eligibility", {"all": [{"field": "customer.tyer", "op": "eq", "value": "x"}]}, "eligibility.all.0.field"),
        ("eligibility", {"field": "history.orders", "op": "eq", "value": "x"}, "eligibility.value"),
        ("eligibility", {"field": "history.item_id", "op": "gt", "value": "x"}, "eligibility.op"),
        ("eligibility", {"all": []}, "eligibility.all"), ("eligibility", {"not": {}, "any": []}, "eligibility.not"),
        ("budget", {"unit": "spend", "limit": 10}, "cost_cents"), ("budget", {"unit": "euros", "limit": 1}, "budget.unit"),
        ("max_per_customer", 0, "max_per_customer"), ("cooldown_days", -1, "cooldown_days"),
        ("channels", ["fax"], "channels.0"), ("creative", {"": "x"}, "creative"), ("capacity", -1, "capacity"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_offer_is_named(client: Any, field: str, value: Any, named: str) -> None:
    reply = client.put("/v1/offers", json={"offer_id": "x", "name": "x", "kind": "gift", field: value})
    assert reply.status_code == 400 and named in reply.json["errors"][0]["field"], reply.json
