"""Bad input of every kind gets a 4xx that names the field, never a 5xx."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LIST = "/v1/customers/c3/recommendations"
GOOD = {"customer_id": "c3", "kind": "view", "item_id": "tea-05"}


def _check(reply: Any, status: int, field: str) -> None:
    assert reply.status_code == status, reply.data
    assert reply.content_type == "application/problem+json"
    assert reply.json["status"] == status and field in reply.json["detail"], reply.json


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit: '0'"), ("limit=101", "limit: '101'"), ("limit=ten", "limit: 'ten'"), ("limit=", "limit: ''"),
        ("limit=1.5", "limit"), ("limit=１０", "limit"), ("limit=%20", "limit"), ("limit=NaN", "limit"), ("limit=1&limit=2", "limit"),
        ("limt=3", "limt"), ("exclude=", "exclude"), ("exclude=%00", "exclude"), ("exclude=" + "x" * 300, "exclude"),
        ("placement=cellar", "placement"), ("placement=home&placement=cart", "placement"),
    ],
)  # fmt: skip
def test_a_bad_query_names_the_parameter(client: Any, query: str, field: str) -> None:
    _check(client.get(f"{LIST}?{query}"), 400, field)


@pytest.mark.parametrize("query", ["window_days=0", "window_days=366", "window_days=x", "category=" + "x" * 1001])
def test_a_bad_window_names_the_parameter(client: Any, query: str) -> None:
    for name in ("trending", "bestsellers", "new"):
        _check(client.get(f"/v1/{name}?{query}"), 400, query.split("=", maxsplit=1)[0])


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/customers/" + "x" * 300 + "/recommendations", "customer_id"), ("/v1/customers/a%00b/recommendations", "NUL"),
        ("/v1/customers/a%0Ab/offers", "customer_id"), ("/v1/customers/%2E%2E/offers", "customer_id"),
        ("/v1/customers/%ff/recommendations", "UTF-8"), ("/v1/customers/%ED%A0%80/offers", "UTF-8"),
        ("/v1/items/" + "é" * 129 + "/similar", "item_id"),
    ],
)  # fmt: skip
def test_a_bad_id_in_a_path_is_named(client: Any, path: str, field: str) -> None:
    _check(client.get(path), 400, field)


@pytest.mark.parametrize(
    "path", ["/v1/items/nix/similar", "/v1/items/nix/bought-together", "/nowhere", "/v1//trending"]
)
def test_what_is_not_there_is_404(client: Any, path: str) -> None:
    _check(client.get(path), 404, "nix" if "nix" in path else "nothing")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"customer_id": None}, "customer_id"), ({"customer_id": 5}, "customer_id"), ({"customer_id": ""}, "customer_id"),
        ({"customer_id": "x" * 300}, "customer_id"), ({"customer_id": "a\x00"}, "customer_id"),
        ({"kind": "look"}, "kind"), ({"kind": ["view"]}, "kind"), ({"item_id": True}, "item_id"), ({"item_id": ...}, "item_id"),
        ({"kind": "offer_redeemed"}, "offer_id"), ({"quantity": -1}, "quantity"), ({"quantity": 1.5}, "quantity"),
        ({"quantity": True}, "quantity"), ({"quantity": "1"}, "quantity"), ({"quantity": 2**63}, "quantity"),
        ({"value_cents": 10**30}, "value_cents"), ({"currency": "euro"}, "currency"), ({"channel": "pigeon"}, "channel"),
        ({"stars": 6}, "stars"), ({"slot": 0}, "slot"), ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"occurred_at": "2099-01-01T00:00:00Z"}, "occurred_at"), ({"occurred_at": 10**400}, "occurred_at"), ({"occurred_at": "2026-01-01T00:00:00"}, "occurred_at"),
        ({"properties": [1]}, "properties"), ({"reason": "x" * 2000}, "reason"), ({"reason": "a\x00"}, "reason"),
        ({"colour": "red"}, "colour"), ({"session_id": ""}, "session_id"),
    ],
)  # fmt: skip
def test_a_bad_interaction_names_the_field(client: Any, change: dict[str, Any], field: str) -> None:
    body = {name: value for name, value in {**GOOD, **change}.items() if value is not ...}
    _check(client.post("/v1/interactions", json=body), 400, field)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "body"), (b"nonsense", "body"), (b"null", "body"), (b'"x"', "body"),
        (b'{"customer_id":"a","customer_id":"b"}', "customer_id"), (b'{"quantity":NaN}', "NaN"),
        (b'{"quantity":1e999}', "range"), (b"[" * 100_000, "body"), (b'{"a":' * 40 + b"1" + b"}" * 40, "body"),
        (b'{"customer_id":"\\ud800"}', "surrogate"), (b"\xff\xfe", "UTF-8"), (b'{"\\u0000":1}', "field"),
    ],
)  # fmt: skip
def test_bad_json_is_named(client: Any, body: bytes, word: str) -> None:
    _check(client.post("/v1/interactions", data=body, content_type="application/json"), 400, word)


def test_a_body_over_the_limit_and_of_another_type_is_refused(client: Any) -> None:
    huge = json.dumps({**GOOD, "properties": {"x": "y" * 2**20}})
    _check(client.post("/v1/interactions", data=huge, content_type="application/json"), 413, "body")
    _check(client.post("/v1/interactions", data="a=b", content_type="text/plain"), 415, "Content-Type")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_another_method_is_405_and_names_the_right_one(client: Any, method: str) -> None:
    reply = client.open(LIST, method=method)
    _check(reply, 405, "method")
    assert "GET" in reply.headers["Allow"]


@pytest.mark.parametrize("key", ["", "rk_x_y", "rk__", "x" * 5000, "rk_é_é"])
def test_no_key_and_a_wrong_key_are_401(client: Any, key: str) -> None:
    reply = client.get(LIST, headers={"X-API-Key": key})
    _check(reply, 401, "X-API-Key")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


def test_a_key_works_as_bearer_and_never_in_the_query(client: Any, place: Any) -> None:
    del client.environ_base["HTTP_X_API_KEY"]
    assert client.get(LIST, headers={"Authorization": f"Bearer {place.key}"}).status_code == 200
    _check(client.get(f"{LIST}?api_key={place.key}"), 401, "X-API-Key")
    wrong = place.key[:-1] + ("0" if place.key[-1] != "0" else "1")
    _check(client.get(LIST, headers={"X-API-Key": wrong}), 401, "not a live key")


def test_an_error_shows_nothing_of_the_inside(client: Any) -> None:
    text = client.get("/v1/customers/%ff/offers").get_data(as_text=True)
    assert "Traceback" not in text and "recsvc/" not in text


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_make_a_500(client: Any, body: bytes) -> None:
    # `[]` is bytes too, and no error.
    assert client.post("/v1/interactions", data=body, content_type="application/json").status_code < 500


values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.lists(st.text(max_size=3), max_size=3)
)


@given(st.dictionaries(st.sampled_from([*GOOD, "occurred_at", "quantity", "stars", "properties", "offer_id"]), values))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_fields_make_a_500(client: Any, body: dict[str, Any]) -> None:
    assert client.post("/v1/interactions", json={**GOOD, **body}).status_code in {200, 400}


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_or_query_makes_a_500(client: Any, segment: str, value: str) -> None:
    from urllib.parse import quote

    path = f"/v1/customers/{quote(segment, safe='', errors='replace')}/recommendations"
    assert client.get(f"{path}?limit={quote(value, errors='replace')}").status_code < 500


@pytest.mark.parametrize("tail", [b"\n", b"x\n", b"x" * (2 * 2**20) + b"\n"])
def test_a_line_that_is_too_long_is_one_refused_row(client: Any, tail: bytes) -> None:
    line = b'{"customer_id":"c3","kind":"view","item_id":"tea-05","interaction_id":"long-%d"}\n'
    lines = [line % n for n in range(700)]
    lines[510] = b'{"customer_id":"' + b"x" * 2**20 + tail
    reply = client.post("/v1/interactions", data=b"".join(lines), content_type="application/x-ndjson")
    assert reply.status_code == 200 and reply.json["accepted"] == 699
    assert reply.json["rejected"] == [
        {"index": 510, "code": "body", "message": "body: a line has more than 1048576 bytes"}
    ]


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_a_compressed_body_is_refused_as_what_it_is(client: Any, kind: str) -> None:
    body = gzip.compress(b'{"customer_id":"c3","kind":"view","item_id":"tea-05"}\n')
    headers = {"Content-Encoding": "gzip"}
    reply = client.post("/v1/interactions", data=body, content_type=kind, headers=headers)
    assert reply.status_code == 415 and "Content-Encoding: 'gzip'" in reply.json["detail"]
    plain = client.post("/v1/interactions", data=gzip.decompress(body), content_type=kind,
                        headers={"Content-Encoding": "identity"})  # fmt: skip
    assert plain.json["accepted"] == 1
