"""The OpenAPI document equals the routes, and the replies equal the document."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest

from recsvc.web.openapi import ROUTES, document


def test_the_document_equals_the_route_table(client: Any) -> None:
    rules = {
        (method, re.sub(r"<id:(\w+)>", r"{\1}", rule.rule))
        for rule in client.application.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    described = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    assert rules == described


def test_every_v1_route_needs_a_key_and_no_other_does(client: Any) -> None:
    for route in ROUTES:
        assert (route.scope is not None) == route.path.startswith("/v1/")
        path = re.sub(r"\{\w+\}", "x", route.path)
        status = client.open(path, method=route.method, headers={"X-API-Key": ""}).status_code
        assert (status == 401) == (route.scope is not None), route.path


def test_the_document_names_the_scope_and_what_a_key_may_meet() -> None:
    for route in ROUTES:
        operation = document()["paths"][route.path][route.method.lower()]
        assert operation["security"] == ([{"key": [route.scope]}, {"bearer": [route.scope]}] if route.scope else [])
        assert ({"401", "403", "429"} <= operation["responses"].keys()) == (route.scope is not None)
        if route.scope:
            assert "Retry-After" in operation["responses"]["429"]["headers"]


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/v1/customers/c3/recommendations", "/v1/customers/{customer_id}/recommendations"),
        ("/v1/customers/nobody/recommendations", "/v1/customers/{customer_id}/recommendations"),
        ("/v1/customers/c3/buy-again", "/v1/customers/{customer_id}/buy-again"),
        ("/v1/customers/c3/offers", "/v1/customers/{customer_id}/offers"),
        ("/v1/items/coffee-03/similar?customer_id=c3", "/v1/items/{item_id}/similar"),
        ("/v1/items/coffee-00/bought-together", "/v1/items/{item_id}/bought-together"),
        ("/v1/items/new-00/similar", "/v1/items/{item_id}/similar"),
        ("/v1/trending", "/v1/trending"), ("/v1/bestsellers", "/v1/bestsellers"), ("/v1/new", "/v1/new"),
        ("/readyz", "/readyz"), ("/healthz", "/healthz"), ("/v1/models", "/v1/models"),
        ("/v1/customers/c3/karma", "/v1/customers/{customer_id}/karma"),
        ("/v1/items/coffee-03/karma", "/v1/items/{item_id}/karma"),
        ("/v1/items/new-00/karma", "/v1/items/{item_id}/karma"),
    ],
)  # fmt: skip
def test_replies_match_the_document(client: Any, path: str, template: str) -> None:
    reply = client.get(path)
    assert reply.status_code == 200
    described = document()
    schema = described["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(reply.json, {**schema, "components": described["components"]})


def test_errors_match_the_document(client: Any) -> None:
    reply = client.get("/v1/bestsellers?limit=0")
    assert reply.content_type == "application/problem+json"
    described = document()
    jsonschema.validate(reply.json, {"$ref": "#/components/schemas/Problem", "components": described["components"]})
