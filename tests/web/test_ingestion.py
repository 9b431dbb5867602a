"""Interactions in every form: object, array, lines; other systems' names; sessions, surveys; sent again."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from recsvc.store.interactions import interactions, newest_revision
from recsvc.store.surveys import surveys
from tests.conftest import on_both

AT = "2026-11-20T10:00:00Z"
VIEW = {"customer_id": "c3", "kind": "view", "item_id": "tea-05", "occurred_at": AT}


def _stored(client: Any, **where: Any) -> list[Any]:
    t = interactions.c
    query = sa.select(interactions).where(
        t.revision > client.planted, *(t[name] == value for name, value in where.items())
    )
    with client.application.extensions["recsvc"].engine.connect() as connection:
        return list(connection.execute(query.order_by(t.revision)))


def _post(client: Any, body: Any, source: str = "native", **headers: str) -> Any:
    return client.post(f"/v1/interactions?source={source}", json=body, headers=headers)


@pytest.fixture(autouse=True)
def _planted(client: Any) -> None:
    """Remember where the planted rows end."""
    client.planted = newest_revision(client.application.extensions["recsvc"].engine)


@on_both
def test_one_bad_row_never_fails_the_rest(client: Any) -> None:
    rows = [
        {**VIEW, "interaction_id": "a"},
        {**VIEW, "kind": "look"},
        5,
        {**VIEW, "interaction_id": "a"},
        {**VIEW, "item_id": ""},
    ]
    reply = _post(client, rows)
    assert reply.status_code == 200
    assert (reply.json["accepted"], reply.json["duplicates"]) == (1, 1)
    assert [(one["index"], one["code"]) for one in reply.json["rejected"]] == [(1, "kind"), (2, "body"), (4, "item_id")]
    assert len(_stored(client)) == 1


def test_a_row_that_is_no_strict_json_never_fails_the_rest(client: Any) -> None:
    parts = [json.dumps(VIEW), '{"a": 1, "a": 2}', '{"customer_id": "\\ud800"}', json.dumps(VIEW), "[" * 99 + "]" * 99]
    reply = client.post("/v1/interactions", data=f"[{', '.join(parts)}]", content_type="application/json")
    assert reply.status_code == 200 and reply.json["accepted"] == 2
    assert [(one["index"], one["code"]) for one in reply.json["rejected"]] == [(1, "a"), (2, "body"), (4, "body")]


def test_a_purchase_of_nothing_is_refused_as_in_files(client: Any) -> None:
    reply = _post(client, {**VIEW, "kind": "purchase", "quantity": 0})
    assert reply.status_code == 400 and reply.json["errors"][0]["field"] == "quantity"


def test_a_thousand_rows_and_no_more(client: Any) -> None:
    rows = [{"customer_id": "c3", "kind": "view", "item_id": "tea-05", "interaction_id": f"r{n}"} for n in range(1001)]
    assert _post(client, rows[:1000]).json == {"accepted": 1000, "duplicates": 0, "rejected": []}
    reply = _post(client, rows)
    assert reply.status_code == 413 and "1001 rows, at most 1000" in reply.json["detail"]
    assert _post(client, []).json == {"accepted": 0, "duplicates": 0, "rejected": []}


def test_lines_are_taken_however_many(client: Any) -> None:
    lines = [json.dumps({**VIEW, "interaction_id": f"n{n}"}) for n in range(2300)]
    lines[700] = '{"customer_id":'
    lines[1900] = json.dumps({**VIEW, "stars": 9})
    body = "\n".join(lines) + "\n\n"
    reply = client.post("/v1/interactions", data=body, content_type="application/x-ndjson")
    assert (reply.json["accepted"], reply.json["duplicates"]) == (2298, 0)
    assert [one["index"] for one in reply.json["rejected"]] == [700, 1900]
    again = client.post("/v1/interactions", data=body, content_type="application/x-ndjson")
    assert (again.json["accepted"], again.json["duplicates"]) == (0, 2298)


@on_both
def test_an_orders_lines_become_interactions(client: Any) -> None:
    order = {
        "interaction_id": "order-1", "customer_id": "c3", "kind": "purchase", "order_id": "o1", "occurred_at": AT,
        "currency": "EUR", "items": [{"item_id": "tea-01", "quantity": 2, "value_cents": 300}, {"item_id": "tea-02"}],
    }  # fmt: skip
    assert _post(client, order).json["accepted"] == 2
    assert _post(client, order).json["duplicates"] == 2
    assert [(row.item_id, row.quantity, row.order_id) for row in _stored(client)] == [
        ("tea-01", 2, "o1"),
        ("tea-02", None, "o1"),
    ]
    for bad, field in (
        ({"items": []}, "items"),
        ({"items": [{"item": "x"}]}, "items.item"),
        ({"item_id": "x"}, "items"),
    ):
        assert field in _post(client, {**order, **bad}).json["errors"][0]["field"]


@on_both
def test_two_equal_lines_without_an_id_stay_two_and_are_known_again(client: Any) -> None:
    line = {"customer_id": "c3", "kind": "purchase", "item_id": "tea-01", "order_id": "o1", "occurred_at": AT}
    assert _post(client, [line, line]).json == {"accepted": 2, "duplicates": 0, "rejected": []}
    assert _post(client, [line, line]).json == {"accepted": 0, "duplicates": 2, "rejected": []}


FOREIGN = {
    "ga4": (
        {"client_id": "cl", "user_id": "u1", "timestamp_micros": "1795168800000000", "events": [
            {"name": "purchase", "params": {"transaction_id": "T1", "currency": "EUR", "items": [
                {"item_id": "a", "price": 9.99, "quantity": 2}, {"item_id": "b", "price": 1}]}},
            {"name": "view_item", "params": {"items": [{"item_id": "c"}]}}]},
        [("u1", "a", "purchase", 2, 1998, "T1"), ("u1", "b", "purchase", None, 100, "T1"), ("u1", "c", "view", None, None, None)],
    ),
    "segment": (
        {"type": "track", "event": "Order Completed", "userId": "u1", "messageId": "m1", "timestamp": AT, "properties": {
            "order_id": "T1", "currency": "USD", "products": [{"product_id": "a", "price": 2.5, "quantity": 2}, {"product_id": "b"}]}},
        [("u1", "a", "purchase", 2, 500, "T1"), ("u1", "b", "purchase", None, None, "T1")],
    ),
    "snowplow": (
        {"event_id": "e1", "user_id": "u1", "derived_tstamp": AT,
         "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1": {"type": "transaction"},
         "contexts_com_snowplowanalytics_snowplow_ecommerce_transaction_1": [{"transaction_id": "T1", "currency": "EUR"}],
         "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1": [{"id": "a", "price": 1, "quantity": 3}]},
        [("u1", "a", "purchase", 3, 300, "T1")],
    ),
    "google_retail": (
        {"eventType": "purchase-complete", "visitorId": "v", "userInfo": {"userId": "u1"}, "eventTime": AT,
         "productDetails": [{"product": {"id": "a"}, "quantity": 2}], "purchaseTransaction": {"id": "T1", "currencyCode": "EUR"}},
        [("u1", "a", "purchase", 2, None, "T1")],
    ),
    "personalize": (
        {"userId": "u1", "sessionId": "s", "eventList": [
            {"eventId": "e1", "eventType": "View", "itemId": "a", "sentAt": 1795168800, "impression": ["b", "c"]}]},
        [("u1", "a", "view", None, None, None), ("u1", "b", "impression", None, None, None), ("u1", "c", "impression", None, None, None)],
    ),
    "gorse": (
        {"FeedbackType": "like", "UserId": "u1", "ItemId": "a", "Timestamp": AT},
        [("u1", "a", "wishlist", None, None, None)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("source", FOREIGN)
def test_the_names_of_other_systems_are_understood(client: Any, source: str) -> None:
    event, wanted = FOREIGN[source]
    assert _post(client, event, source).json == {"accepted": len(wanted), "duplicates": 0, "rejected": []}
    rows = _stored(client)
    assert [(r.customer_id, r.item_id, r.kind, r.quantity, r.value_cents, r.order_id) for r in rows] == wanted
    assert _post(client, event, source).json["duplicates"] == len(wanted)
    assert _post(client, [event, {"nonsense": 1}], source).json["rejected"][0]["index"] == 1


NONSENSE = [
    ("ga4", {"name": "view_item", "timestamp_micros": 10**400, "user_id": "u", "params": {"items": [{"item_id": "a"}]}}),
    ("ga4", {"name": "view_item", "user_id": ["u"], "params": {"items": [{"item_id": "a"}]}}),
    ("ga4", {"name": "purchase", "user_id": "u", "params": {"items": [{"item_id": "a", "price": 1, "quantity": [2]}]}}),
    ("ga4", {"name": "purchase", "user_id": "u", "params": {"items": [{"item_id": "a", "price": 1, "quantity": "9x"}]}}),
    ("snowplow", {"type": "promo_view", "user_id": "u", "contexts_com_snowplowanalytics_snowplow_ecommerce_promotion_1": ["x"]}),
    ("personalize", {"userId": {"a": 1}, "eventList": [{"eventType": "View", "itemId": "a"}]}),
    ("personalize", {"userId": "u", "eventType": "View", "itemId": "a", "impression": 5}),
]  # fmt: skip


@pytest.mark.parametrize(("source", "event"), NONSENSE)
def test_foreign_fields_of_another_type_are_named(client: Any, source: str, event: dict[str, Any]) -> None:
    reply = _post(client, event, source)
    assert reply.status_code == 400 and reply.json["errors"], reply.data
    assert not _stored(client)


@pytest.mark.parametrize("source", [*FOREIGN, "native"])
@pytest.mark.parametrize("event", [{}, {"events": 5}, {"eventList": [1]}, {"event": "Order Completed", "properties": []},
                                   {"name": "purchase", "params": {"items": 7}}, {"FeedbackType": []}, {"type": {}}, {"items": [{}]}])  # fmt: skip
def test_foreign_nonsense_is_named(client: Any, source: str, event: dict[str, Any]) -> None:
    reply = _post(client, event, source)
    assert reply.status_code in {200, 400}
    if reply.status_code == 200:
        assert reply.json["accepted"] == 0
    else:
        assert reply.json["errors"]


def test_an_unknown_source_is_named(client: Any) -> None:
    assert "source" in _post(client, VIEW, "matomo").json["detail"]


@on_both
def test_what_a_session_did_counts_after_the_merge(client: Any) -> None:
    for n in range(3):
        row = {"session_id": "anon-1", "kind": "view", "item_id": f"coffee-0{n}", "occurred_at": AT}
        assert _post(client, row).json["accepted"] == 1
    before = client.get("/v1/customers/walk-in/recommendations")
    assert before.json["source"] == "fallback"
    assert client.post("/v1/customers/walk-in/merge", json={"from": "anon-1"}).json == {"merged": 3, "already": 0}
    after = client.get("/v1/customers/walk-in/recommendations")
    assert after.json["source"] == "live" and after.json["items"][0]["item_id"].startswith("coffee")
    assert client.post("/v1/customers/walk-in/merge", json={"from": "anon-1"}).json["already"] == 1
    refused = client.post("/v1/customers/other/merge", json={"from": "anon-1"})
    assert refused.status_code == 409 and refused.json["errors"][0]["field"] == "from"
    _post(client, {"session_id": "anon-1", "kind": "dislike", "item_id": after.json["items"][0]["item_id"]})
    gone = [one["item_id"] for one in client.get("/v1/customers/walk-in/recommendations").json["items"]]
    assert after.json["items"][0]["item_id"] not in gone


def test_a_callers_id_cannot_stand_in_the_way_of_a_merge(client: Any) -> None:
    _post(client, {"session_id": "anon-2", "kind": "view", "item_id": "coffee-01", "interaction_id": "merge:anon-2"})
    assert client.post("/v1/customers/walk-in/merge", json={"from": "anon-2"}).json == {"merged": 1, "already": 0}


@pytest.mark.parametrize("body", [{}, {"from": ""}, {"from": 1}, {"from": "a", "to": "b"}, {"session_id": "a", "x": 1}])
def test_a_bad_merge_is_named(client: Any, body: dict[str, Any]) -> None:
    assert client.post("/v1/customers/c3/merge", json=body).status_code == 400


@on_both
def test_a_key_replays_the_answer_and_refuses_another_body(client: Any) -> None:
    row = {"customer_id": "c3", "kind": "view", "item_id": "tea-05"}
    first = _post(client, [row, {**row, "kind": "x"}], **{"Idempotency-Key": "k1"})
    again = _post(client, [row, {**row, "kind": "x"}], **{"Idempotency-Key": "k1"})
    assert first.json == again.json and first.json["accepted"] == 1 and len(_stored(client)) == 1
    other = _post(client, row, **{"Idempotency-Key": "k1"})
    assert other.status_code == 409 and other.json["errors"][0]["field"] == "Idempotency-Key"
    assert _post(client, row, **{"Idempotency-Key": "k2"}).json["accepted"] == 1
    assert _post(client, row, **{"Idempotency-Key": "x" * 300}).status_code == 400


def test_a_key_of_another_route_is_refused_not_replayed(client: Any) -> None:
    key = {"Idempotency-Key": "k9"}
    assert client.put("/v1/items", json=[], headers=key).status_code == 200
    assert client.post("/v1/interactions", json=[], headers=key).status_code == 409


def test_an_orders_id_may_be_as_long_as_an_id(client: Any) -> None:
    lines = [{"item_id": "tea-01"}, {"item_id": "tea-02"}]
    order = {"interaction_id": "é" * 128, "customer_id": "c3", "kind": "purchase", "occurred_at": AT, "items": lines}
    assert _post(client, order).json["accepted"] == 2
    assert _post(client, order).json["duplicates"] == 2


def test_two_point_zero_is_two(client: Any) -> None:
    body = json.dumps({**VIEW, "kind": "purchase", "quantity": 2.0})
    assert client.post("/v1/interactions", data=body, content_type="application/json").json["accepted"] == 1
    assert [row.quantity for row in _stored(client)] == [2]


@on_both
def test_sixty_four_threads_with_one_key_have_one_effect(client: Any) -> None:
    app, key = client.application, client.environ_base["HTTP_X_API_KEY"]
    row = {"customer_id": "c3", "kind": "view", "item_id": "tea-05"}

    def post(_: int) -> Any:
        headers = {"X-API-Key": key, "Idempotency-Key": "one"}
        while True:
            reply = app.test_client().post("/v1/interactions", json=row, headers=headers)
            if reply.status_code != 503:  # the database is busy: it is sent again, as the answer says
                return reply.json

    with ThreadPoolExecutor(64) as pool:
        replies = list(pool.map(post, range(64)))
    assert replies == [{"accepted": 1, "duplicates": 0, "rejected": []}] * 64
    assert len(_stored(client)) == 1


@on_both
def test_surveys_are_kept_once_and_checked(client: Any) -> None:
    good = {"customer_id": "c3", "kind": "nps", "score": 3, "occurred_at": AT, "comment": "late, again", "about": "o1"}
    assert client.post("/v1/surveys", json=good).json == {"accepted": 1, "duplicates": 0, "rejected": []}
    assert client.post("/v1/surveys", json=good).json["duplicates"] == 1
    rows = [
        {**good, "kind": "csat", "score": 6},
        {**good, "kind": "ces", "score": 7},
        {**good, "kind": "smile"},
        {**good, "score": 11},
    ]
    reply = client.post("/v1/surveys", json=rows).json
    assert reply["accepted"] == 1 and [(one["index"], one["code"]) for one in reply["rejected"]] == [
        (0, "score"),
        (2, "kind"),
        (3, "score"),
    ]
    with client.application.extensions["recsvc"].engine.connect() as connection:
        kept = connection.execute(sa.select(surveys).order_by(surveys.c.kind)).all()
    assert [(row.kind, row.score, row.comment) for row in kept] == [
        ("ces", 7, "late, again"),
        ("nps", 3, "late, again"),
    ]


def test_touchpoints_without_an_item_keep_their_channel(client: Any) -> None:
    for kind in ("store_visit", "email_open", "support_contact"):
        assert _post(client, {"customer_id": "c3", "kind": kind, "channel": "store"}).json["accepted"] == 1
    assert [(row.kind, row.channel, row.item_id) for row in _stored(client)] == [
        ("store_visit", "store", None), ("email_open", "store", None), ("support_contact", "store", None),
    ]  # fmt: skip


@on_both
def test_late_and_out_of_order_events_give_the_same_list(client: Any) -> None:
    rows = [
        {"kind": "purchase", "item_id": "tea-03", "order_id": "1", "occurred_at": "2026-11-01T00:00:00Z"},
        {"kind": "dislike", "item_id": "tea-03", "occurred_at": "2026-11-05T00:00:00Z"},
        {"kind": "view", "item_id": "tea-07", "occurred_at": "2026-11-06T00:00:00Z"},
        {"kind": "purchase", "item_id": "tea-09", "order_id": "2", "occurred_at": "2026-11-07T00:00:00Z"},
    ]  # fmt: skip
    for row in rows:
        _post(client, {**row, "customer_id": "in-order"})
    for row in reversed(rows):
        _post(client, {**row, "customer_id": "late"})
    lists = [client.get(f"/v1/customers/{one}/recommendations?limit=50").json["items"] for one in ("in-order", "late")]
    assert lists[0] == lists[1] and "tea-03" not in [one["item_id"] for one in lists[0]]
