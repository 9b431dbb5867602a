"""Payloads of other systems that hold several events: each is taken or refused for itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from recsvc.store.interactions import interactions

BOUGHT = {"transaction_id": "T9", "items": [{"item_id": "tea-01", "price": "2.50", "quantity": "2"}]}
GA4 = {"client_id": "c", "events": [{"name": "page_view"}, {"name": "purchase", "params": BOUGHT}]}
PERSONALIZE = {"userId": "u9", "eventList": [
    {"eventType": "Purchase", "itemId": "tea-01", "sentAt": 1795168800}, {"eventType": "Scroll", "itemId": "tea-02"}, 5]}  # fmt: skip


def _post(client: Any, body: Any, source: str) -> Any:
    return client.post(f"/v1/interactions?source={source}", json=body)


def _bought(client: Any, **where: str) -> list[Any]:
    query = sa.select(interactions).where(*(interactions.c[name] == value for name, value in where.items()))
    with client.application.extensions["recsvc"].engine.connect() as connection:
        return [(row.item_id, row.kind, row.quantity, row.value_cents) for row in connection.execute(query)]


def test_an_unknown_event_does_not_cost_the_purchase_beside_it(client: Any) -> None:
    reply = _post(client, GA4, "ga4")
    assert reply.status_code == 200 and reply.json["accepted"] == 1
    (refused,) = reply.json["rejected"]
    assert (refused["index"], refused["code"]) == (0, "name") and "'page_view'" in refused["message"]
    assert _bought(client, order_id="T9") == [("tea-01", "purchase", 2, 500)]


def test_each_event_of_a_list_has_its_place(client: Any) -> None:
    reply = _post(client, PERSONALIZE, "personalize").json
    assert reply["accepted"] == 1 and [one["index"] for one in reply["rejected"]] == [1, 2]
    assert "'Scroll'" in reply["rejected"][0]["message"]
    assert _bought(client, customer_id="u9") == [("tea-01", "purchase", None, None)]


def test_in_an_array_and_in_lines_the_place_is_the_payloads(client: Any) -> None:
    good = {"client_id": "c", "name": "view_item", "params": {"items": [{"item_id": "tea-01"}]}}
    reply = _post(client, [good, GA4], "ga4").json
    assert reply["accepted"] == 2 and [one["index"] for one in reply["rejected"]] == [1]
    lines = "\n".join(map(json.dumps, [good, GA4, good]))
    reply = client.post("/v1/interactions?source=ga4", data=lines, content_type="application/x-ndjson").json
    assert reply["accepted"] + reply["duplicates"] == 3 and [one["index"] for one in reply["rejected"]] == [1]


def test_a_payload_with_one_event_that_is_wrong_is_an_error_of_the_request(client: Any) -> None:
    reply = _post(client, {"client_id": "c", "events": [{"name": "page_view"}]}, "ga4")
    assert reply.status_code == 400 and "'page_view'" in reply.json["detail"]


@pytest.mark.parametrize("text", ["2", " 2 ", "2.0"])
def test_a_quantity_may_be_text_as_a_price_may(client: Any, text: str) -> None:
    line = {"item_id": "tea-01", "price": "1.25", "quantity": text}
    event = {"name": "purchase", "user_id": "q", "params": {"transaction_id": f"Q{text}", "items": [line]}}
    assert _post(client, event, "ga4").json["accepted"] == 1
    assert _bought(client, customer_id="q", order_id=f"Q{text}") == [("tea-01", "purchase", 2, 250)]


def test_an_empty_quantity_is_none(client: Any) -> None:
    line = {"item_id": "tea-01", "price": "2.50", "quantity": ""}
    event = {"name": "purchase", "user_id": "q", "params": {"transaction_id": "Qe", "items": [line]}}
    assert _post(client, event, "ga4").json["accepted"] == 1
    assert _bought(client, customer_id="q", order_id="Qe") == [("tea-01", "purchase", None, 250)]


@pytest.mark.parametrize("text", ["1.5", "-2", "1e3", "two", "²"])
def test_a_quantity_of_another_text_is_named(client: Any, text: str) -> None:
    event = {"name": "purchase", "user_id": "q", "params": {"items": [{"item_id": "a", "price": 1, "quantity": text}]}}
    reply = _post(client, event, "ga4")
    assert reply.status_code == 400 and "quantity" in reply.json["detail"]
