"""Who may do what: the golden table of route × scope, compared with the routes and with what the service answers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from recsvc.concepts import SCOPES
from recsvc.store import keys
from recsvc.web.openapi import ROUTES

# A new route is written here by hand: who may ask it is a decision, not a consequence.
GOLDEN = {
    "GET /v1/customers/{customer_id}/recommendations": "storefront",
    "POST /v1/recommendations": "storefront",
    "POST /v1/pages": "storefront",
    "POST /v1/rank": "storefront",
    "POST /v1/batch/recommendations": "campaign",
    "GET /v1/customers/{customer_id}/buy-again": "storefront",
    "GET /v1/customers/{customer_id}/timing": "campaign",
    "GET /v1/customers/{customer_id}/offers": "storefront",
    "POST /v1/customers/{customer_id}/offers": "storefront",
    "POST /v1/batch/offers": "campaign",
    "POST /v1/offers/{offer_id}/claims": "storefront",
    "POST /v1/claims/{claim_id}/redeem": "storefront",
    "POST /v1/claims/{claim_id}/release": "storefront",
    "GET /v1/items/{item_id}/similar": "storefront",
    "GET /v1/items/{item_id}/bought-together": "storefront",
    "GET /v1/trending": "storefront",
    "GET /v1/bestsellers": "storefront",
    "GET /v1/new": "storefront",
    "POST /v1/interactions": "storefront",
    "POST /v1/surveys": "storefront",
    "POST /v1/customers/{customer_id}/merge": "storefront",
    "PUT /v1/items": "catalog",
    "GET /v1/items": "catalog",
    "GET /v1/items/{item_id}": "catalog",
    "PATCH /v1/items/{item_id}": "catalog",
    "DELETE /v1/items/{item_id}": "catalog",
    "PUT /v1/customers": "catalog",
    "GET /v1/customers": "catalog",
    "GET /v1/customers/{customer_id}": "catalog",
    "PATCH /v1/customers/{customer_id}": "catalog",
    "PUT /v1/offers": "catalog",
    "GET /v1/offers": "catalog",
    "GET /v1/offers/{offer_id}": "catalog",
    "PATCH /v1/offers/{offer_id}": "catalog",
    "DELETE /v1/offers/{offer_id}": "catalog",
    "PUT /v1/rules/{rule_id}": "catalog",
    "GET /v1/rules/{rule_id}": "catalog",
    "DELETE /v1/rules/{rule_id}": "catalog",
    "GET /v1/rules": "catalog",
    "PUT /v1/placements/{placement_id}": "catalog",
    "GET /v1/placements/{placement_id}": "catalog",
    "DELETE /v1/placements/{placement_id}": "catalog",
    "GET /v1/placements": "catalog",
    "GET /v1/explain": "admin",
    "GET /v1/customers/{customer_id}/karma": "admin",
    "GET /v1/items/{item_id}/karma": "admin",
    "POST /v1/surveys/links": "campaign",
    "GET /s/{token}": None,
    "POST /s/{token}": None,
    "GET /v1/models": "admin",
    "POST /v1/models/{version}/use": "admin",
    "GET /healthz": None,
    "GET /readyz": None,
    "GET /metrics": None,
    "GET /openapi.json": None,
}
# A key of the scope on the left may ask routes of the scopes on the right.
MAY = {
    "storefront": {"storefront"},
    "catalog": {"catalog"},
    "campaign": {"campaign", "storefront"},
    "admin": {"storefront", "catalog", "campaign", "admin"},
}


def test_every_route_declares_the_scope_of_the_golden_table() -> None:
    assert {f"{route.method} {route.path}": route.scope for route in ROUTES} == GOLDEN


def test_scopes_include_what_the_golden_table_says() -> None:
    assert {scope: set(granted) for scope, granted in SCOPES.items()} == MAY


@pytest.mark.parametrize("scope", MAY)
def test_the_service_answers_as_the_table_says(client: Any, place: Any, scope: str) -> None:
    shop = client.application.extensions["recsvc"]
    key = keys.create(shop.engine, scope, datetime.now(UTC), keys.Terms((scope,)))
    shop.current.refresh(shop.clock())
    for route, needed in GOLDEN.items():
        method, path = route.split(" ")
        path = re.sub(r"\{\w+\}", "coffee-00", path)
        reply = client.open(path, method=method, headers={"X-API-Key": key})
        assert (reply.status_code == 403) == (needed is not None and needed not in MAY[scope]), route
        assert reply.status_code != 401
        if reply.status_code == 403:
            assert reply.content_type == "application/problem+json" and needed in reply.json["detail"]
            assert reply.json["title"] == "The key lacks the scope" and scope in reply.json["detail"]
