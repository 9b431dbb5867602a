"""The pages exist for somebody at this machine only, and put whatever a shop's texts hold onto the page as text."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from recsvc.app import create_app
from recsvc.flows import showcase
from recsvc.settings import Settings
from recsvc.store import customers, interactions, items
from recsvc.web.openapi import document
from recsvc.web.pages import docs
from tests.planted import interaction as interaction_row

EVIL = """<script>alert('x')</script> "a/b" & more"""
LOCAL = {"Host": "127.0.0.1:8000"}
PATHS = [
    "/", "/?customer_id=7", "/pages/search?q=c", "/pages/item?item_id=sku-1", "/pages/static/page.css",
    "/pages/static/page.js", "/docs", "/docs/static/docs.js", "/docs/static/swagger-ui.css", "/pages/nothing",
]  # fmt: skip


def item(item_id: str, title: str) -> dict[str, Any]:
    return {
        "item_id": item_id, "parent_id": None, "title": title, "categories": ["Food", "Milk & <more>"], "brand": None,
        "price_cents": 129, "currency": "EUR", "stock": None, "active": True, "sensitive": False,
        "created_at": int(time.time() * 1e6) - 1_000_000, "available_from": None, "available_to": None,
        "attributes": {},
    }  # fmt: skip


def build(home: Path, pages: bool) -> Flask:
    app = create_app(Settings(home=home, pages=pages, redis_url="off"))
    shop = app.extensions["recsvc"]
    shop.current.stop()
    items.put(shop.engine, [item("sku-1", "Milk"), item(EVIL, EVIL), item("a/b", "Bread")])
    customers.put(shop.engine, [{"customer_id": one, "segment": "a & b", "attributes": {}} for one in ("c1", "c2")])
    shop.current.refresh(time.time())
    return app


class Whole(FlaskClient):
    """Reads every reply to its end, so that a served file is closed."""

    def open(self, *args: Any, **given: Any) -> Any:
        return super().open(*args, **{"buffered": True, **given})


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    app = build(tmp_path, pages=True)
    app.test_client_class = Whole
    yield app.test_client()
    app.extensions["recsvc"].engine.dispose()


def interaction(**fields: Any) -> dict[str, Any]:
    return {"customer_id": "7", "item_id": "sku-1", "kind": "view", **fields}


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/pages/nothing"])
def test_they_are_there_for_somebody_at_this_machine(client: FlaskClient, path: str) -> None:
    if "swagger-ui" in path and docs._viewer() is None:
        pytest.skip("the extra `pages` is not installed")
    for host in ("localhost", "127.0.0.1:8000", "[::1]:8000", "LocalHost:1"):
        assert client.get(path, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host",
    ["shop.example", "127.0.0.1.example", "localhost.example:80", "127.0.0.1@example", "10.0.0.1", "", "localhost:"],
)
def test_another_host_name_finds_nothing(client: FlaskClient, path: str, host: str) -> None:
    reply = client.get(path, headers={"Host": host})
    assert reply.status_code == 404
    assert reply.content_type == "application/problem+json"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "x-forwarded-anything",
        "Forwarded",
        "Via",
        "X-Real-IP",
    ],
)
def test_through_a_proxy_there_is_nothing(client: FlaskClient, path: str, header: str) -> None:
    assert client.get(path, headers={**LOCAL, header: "127.0.0.1"}).status_code == 404


@pytest.mark.parametrize("address", ["10.0.0.8", "192.168.1.4", "::ffff:10.0.0.8", "2001:db8::1", ""])
@pytest.mark.parametrize("path", PATHS)
def test_from_another_machine_there_is_nothing(client: FlaskClient, path: str, address: str) -> None:
    reply = client.get(path, headers=LOCAL, environ_base={"REMOTE_ADDR": address})
    assert reply.status_code == 404


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_every_loopback_address_is_this_machine(client: FlaskClient, address: str) -> None:
    assert client.get("/", headers=LOCAL, environ_base={"REMOTE_ADDR": address}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_a_foreign_host_learns_of_no_other_method_either(client: FlaskClient, method: str) -> None:
    for path in ("/", "/pages/interactions", "/docs"):
        assert client.open(path, method=method, headers={"Host": "shop.example"}).status_code == 404


def test_without_the_setting_there_are_no_pages(tmp_path: Path) -> None:
    app = build(tmp_path, pages=False)
    for path in PATHS:
        assert app.test_client().get(path, headers=LOCAL).status_code == 404
    assert app.test_client().post("/pages/interactions", json=interaction(), headers=LOCAL).status_code == 404
    app.extensions["recsvc"].engine.dispose()


def test_the_page_runs_no_inline_script_and_lends_itself_to_no_frame(client: FlaskClient) -> None:
    reply = client.get("/?customer_id=7", headers=LOCAL)
    policy = reply.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy and "*" not in policy and "http" not in policy
    assert reply.headers["X-Frame-Options"] == "DENY"
    assert reply.headers["Referrer-Policy"] == "no-referrer"
    assert reply.headers["Cache-Control"] == "no-store"
    assert "<script>" not in reply.text and "style=" not in reply.text and "onclick" not in reply.text


def test_the_docs_need_nothing_from_elsewhere(client: FlaskClient) -> None:
    reply = client.get("/docs", headers=LOCAL)
    assert "https://" not in reply.text and "http://" not in reply.text
    assert "script-src 'self';" in reply.headers["Content-Security-Policy"]
    for path in re.findall(r'(?:src|href)="([^"]+)"', reply.text):
        assert client.get(path, headers=LOCAL).status_code == 200


def test_without_the_viewer_the_page_says_what_to_install(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "_viewer", lambda: None)
    reply = client.get("/docs", headers=LOCAL)
    assert reply.status_code == 200
    assert "recsvc[pages]" in reply.text and 'href="/openapi.json"' in reply.text
    assert client.get("/docs/static/swagger-ui.css", headers=LOCAL).status_code == 404


def test_ids_and_titles_are_text_whatever_they_hold(client: FlaskClient) -> None:
    reply = client.get("/", query_string={"customer_id": EVIL, "item_id": EVIL}, headers=LOCAL)
    assert reply.status_code == 200
    assert "alert(" in reply.text  # it is on the page …
    assert "<script>alert" not in reply.text and 'data-item-id="<' not in reply.text  # … and does nothing
    found = client.get("/pages/item", query_string={"item_id": EVIL}, headers=LOCAL)
    assert found.get_json()["title"] == EVIL
    assert found.content_type == "application/json"


def test_a_slash_in_an_id_survives(client: FlaskClient) -> None:
    found = client.get("/pages/item?item_id=a%2Fb&customer_id=x%2Fy", headers=LOCAL).get_json()
    assert found["item_id"] == "a/b"
    assert found["href"] == "/?customer_id=x%2Fy&item_id=a%2Fb"


def test_an_unknown_customer_is_told_from_a_known_one(client: FlaskClient) -> None:
    assert "not seen yet" in client.get("/?customer_id=nobody", headers=LOCAL).text
    known = client.get("/?customer_id=c1", headers=LOCAL).text
    assert "not seen yet" not in known and "A &amp; b" in known


def test_an_impossible_id_is_explained_on_the_page(client: FlaskClient) -> None:
    for asked in ("customer_id=", "customer_id=.", "customer_id=a&customer_id=b", "other=1"):
        reply = client.get(f"/?{asked}", headers=LOCAL)
        assert reply.status_code == 400
        assert 'role="alert"' in reply.text and reply.content_type.startswith("text/html")
    assert client.get("/?item_id=none", headers=LOCAL).status_code == 404


def test_search_finds_ids_by_their_beginning(client: FlaskClient) -> None:
    ask = "/pages/search"
    assert client.get(ask, query_string={"q": "c"}, headers=LOCAL).get_json() == {"customers": ["c1", "c2"]}
    for text in ("", "%", "_1", "2", EVIL):
        assert client.get(ask, query_string={"q": text}, headers=LOCAL).get_json() == {"customers": []}


def test_an_interaction_is_stored_and_answered_with_the_lists(client: FlaskClient) -> None:
    reply = client.post("/pages/interactions", json=interaction(), headers={**LOCAL, "Origin": "http://127.0.0.1:8000"})
    assert reply.status_code == 200
    found = reply.get_json()
    assert found["took_ms"] > 0
    assert [one["key"] for one in found["panels"]] == ["home", "again", "offers", "trending", "bestsellers", "new"]
    assert found["customer"]["doing"] == "looked at Milk"
    assert "looked at Milk" in client.get("/?customer_id=7", headers=LOCAL).text


def test_an_interaction_is_parsed_as_strictly_as_by_the_api(client: FlaskClient) -> None:
    for wrong in ({"kind": "buy"}, {"item_id": None}, {"customer_id": 7}, {"extra": 1}, {"slot": "1"}):
        assert client.post("/pages/interactions", json=interaction(**wrong), headers=LOCAL).status_code == 400
    body = '{"customer_id": "7", "customer_id": "8", "item_id": "sku-1", "kind": "view"}'
    reply = client.post("/pages/interactions", data=body, content_type="application/json", headers=LOCAL)
    assert reply.status_code == 400


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", None])
def test_a_form_of_another_site_cannot_write(client: FlaskClient, kind: str | None) -> None:
    body = json.dumps(interaction())
    assert client.post("/pages/interactions", data=body, content_type=kind, headers=LOCAL).status_code == 415


@pytest.mark.parametrize(
    "origin", ["https://shop.example", "null", "http://127.0.0.1:9000", "http://localhost:8000", ""]
)
def test_a_script_of_another_site_cannot_write(client: FlaskClient, origin: str) -> None:
    reply = client.post("/pages/interactions", json=interaction(), headers={**LOCAL, "Origin": origin})
    assert reply.status_code == 404
    assert "looked at" not in client.get("/?customer_id=7", headers=LOCAL).text


def test_only_the_pages_own_files_are_served(client: FlaskClient) -> None:
    for name in ("..%2F__init__.py", "../guard.py", "page.html", "%00", "..%2Fstatic%2Fpage.css"):
        for folder in ("/pages/static/", "/docs/static/"):
            assert client.get(folder + name, headers=LOCAL).status_code in {400, 404}


def test_the_pages_are_no_part_of_the_api(client: FlaskClient) -> None:
    assert not [path for path in document()["paths"] if path == "/" or path.startswith(("/pages", "/docs"))]


def test_no_page_speaks_of_karma(client: FlaskClient) -> None:
    assert "karma" not in client.get("/?customer_id=7&item_id=sku-1", headers=LOCAL).text.lower()


def test_the_showcase_are_customers_of_different_segments_and_tastes(place: Any) -> None:
    shop = create_app(place.settings).extensions["recsvc"]
    shop.current.stop()
    found = showcase.customers(shop)
    lines = sorted(re.sub(r"[0-9]+ orders", "N orders", one.description) for one in found)
    assert lines == ["coffee, N orders, often buys coffee", "tea, N orders, often buys tea"]
    assert found == showcase.customers(shop) == showcase._find(shop, shop.current.snapshot, shop.current.snapshot.model)
    shop.engine.dispose()


def test_a_portrait_counts_delicate_items_without_naming_them(place: Any) -> None:
    shop = create_app(place.settings).extensions["recsvc"]
    shop.current.stop()
    rows = [interaction_row("quiet", one, "purchase", datetime.now(UTC), order_id="o") for one in ("tea-29", "tea-01")]
    interactions.append_many(shop.engine, [*rows, interaction_row("quiet", "tea-29", "view", datetime.now(UTC))])
    seen = showcase.portrait(shop, "quiet")
    assert seen.known and seen.n_orders == 1 and seen.doing == []
    assert (seen.orders[0].titles, seen.orders[0].lines) == (["The tea-01"], 2)
    assert not showcase.portrait(shop, "never").known
    shop.engine.dispose()
