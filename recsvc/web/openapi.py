"""The OpenAPI 3.1 document, made from the routes."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

from flask import Response
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from recsvc import __version__
from recsvc.web import (
    catalogue,
    claims,
    explain,
    health,
    interactions,
    karma,
    lists,
    models,
    offers,
    repeat,
    rules,
    several,
    surveys,
    timing,
)
from recsvc.web.contract import TOKENS, Route
from recsvc.web.outputs import Problem
from recsvc.web.schemas import ID_SCHEMA, TOKEN_SCHEMA

_HEADERS = {
    "ETag": "Names these bytes; send it as If-None-Match.",
    "X-Exposure-Id": "Names this reply; every reply has its own.",
    "X-Cache": "hit or miss.",
    "X-Degraded": "What was away: redis, database or model.",
}

_KEY = "rk_<id>_<secret>. Each operation names the scope it needs; campaign includes storefront, admin includes all."


def openapi() -> Response:
    """Answer the OpenAPI document."""
    return Response(_text(), content_type="application/json")


ROUTES: list[Route] = [
    *lists.ROUTES,
    *offers.ROUTES,
    *claims.ROUTES,
    *repeat.ROUTES,
    *timing.ROUTES,
    *several.ROUTES,
    *interactions.ROUTES,
    *catalogue.ROUTES,
    *rules.ROUTES,
    *surveys.ROUTES,
    *models.ROUTES,
    *karma.ROUTES,
    *explain.ROUTES,
    *health.ROUTES,
    Route("GET", "/openapi.json", "This description", openapi, scope=None),
]


@functools.cache
def _text() -> str:
    return json.dumps(document(), indent=1)


def document() -> dict[str, Any]:
    """Return the document of all routes."""
    replies: list[type[BaseModel]] = sorted(
        {model for one in ROUTES for model in (one.body, one.reply) if model} | {Problem},
        key=lambda model: model.__name__,
    )
    _, definitions = models_json_schema(
        [(model, "validation") for model in replies], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "recsvc", "version": __version__,
            "description": "Personalised products and offers. Server to server: keep the key out of browsers.",
        },
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": _KEY},
                "bearer": {"type": "http", "scheme": "bearer", "description": _KEY},
            },
        },
    }  # fmt: skip


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": re.sub(r"[^a-z0-9]+", "_", f"{route.method} {route.path}".lower()).strip("_"),
        "summary": route.summary, "parameters": _parameters(route), "responses": _responses(route),
        "security": [{"key": [route.scope]}, {"bearer": [route.scope]}] if route.scope else [],
    }  # fmt: skip
    if route.body:
        one = _changes(route.body) if route.patch else _ref(route.body)
        # Each row is judged by itself: one that is no such object is named in `rejected` and fails nothing else.
        row = {"anyOf": [one, {}]}
        either = {"oneOf": [one, {"type": "array", "items": row, "maxItems": 1000}]} if route.many else one
        content = {"application/json": {"schema": either}}
        if route.many:
            content["application/x-ndjson"] = {"schema": row}
        operation["requestBody"] = {"required": True, "content": content}
    if route.form:
        schema = route.form.model_json_schema()
        operation["requestBody"] = {
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": schema}},
        }
    return operation


def _changes(body: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a change: any of the fields, but the id, which the path gives."""
    _, found = models_json_schema([(body, "validation")], ref_template="#/components/schemas/{model}")
    schema = found["$defs"][body.__name__]
    fields = {name: field for name, field in schema["properties"].items() if name not in catalogue.KEYS.values()}
    return {"type": "object", "description": f"Any of the fields of {body.__name__}.", "properties": fields,
            "additionalProperties": False}  # fmt: skip


def _page_responses() -> dict[str, Any]:
    """Return what a page answers that is opened by a link: pages, also where something is wrong."""
    page = {"text/html": {"schema": {"type": "string"}}}
    statuses = {"400": "That was no answer.", "404": "No link of this shop.", "410": "The link's time is over.",
                "503": "Nothing was kept; send it again."}  # fmt: skip
    either = page | {"application/problem+json": {"schema": _ref(Problem)}}
    return {"200": {"description": "A page.", "content": page}} | {
        code: {"description": text, "content": either} for code, text in statuses.items()
    }


def _responses(route: Route) -> dict[str, Any]:
    if route.content == "text/html":
        return _page_responses()
    plain = {"type": "object"} if route.content == "application/json" else {"type": "string"}
    good: dict[str, Any] = {
        "description": "The answer.",
        "content": {route.content: {"schema": _ref(route.reply) if route.reply else plain}},
    }
    statuses = {"400": "The caller sent something that cannot be read."}
    if route.scope:
        statuses |= {"401": "No live key.", "403": f"The key lacks the scope {route.scope}.",
                     "429": "The key's rate is used up; Retry-After says for how long.",
                     "503": "The database is away, and nothing was kept; send it again."}  # fmt: skip
    decided = route.path.endswith(("{rule_id}", "{placement_id}")) and route.method != "PUT"
    if (
        decided
        or "{item_id}" in route.path
        or "{offer_id}" in route.path
        or route.path == "/v1/explain"
        or "{claim_id}" in route.path
        or (route.path == "/v1/customers/{customer_id}")
    ):
        statuses["404"] = "There is none of that id."
    if (route.body and route.writes) or route.method == "DELETE":
        statuses |= {"409": "The idempotency key was used with another body.",
                     "503": "Nothing was kept; send it again."}  # fmt: skip
    if "{version}" in route.path:
        statuses |= {"404": "There is no such version.", "409": "The version is damaged; nothing was changed.",
                     "503": "The published models cannot be changed now; nothing was."}  # fmt: skip
    if route.body:
        statuses |= {"413": "Body over 1 MiB, or more than 1,000 rows.", "415": "Not JSON."}
    wait = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    problem = {"application/problem+json": {"schema": _ref(Problem)}}
    found = {"200": good} | {code: {"description": text, "content": problem} for code, text in statuses.items()}
    for code in {"429", "503"} & statuses.keys():
        found[code]["headers"] = wait
    if route.path.startswith("/v1/") and route.method == "GET":
        good["headers"] = {name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items()}
        found["304"] = {"description": "The caller has these bytes."}
    if route.path == "/readyz":
        found["503"] = {"description": "Nothing can be answered.", "content": good["content"]}
    return found


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": TOKEN_SCHEMA if name in TOKENS else ID_SCHEMA}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    if (route.body and route.writes) or route.method == "DELETE":
        text = "Sent again with the same body, the answer is the same and nothing happens twice."
        found.append({"name": "Idempotency-Key", "in": "header", "schema": ID_SCHEMA, "description": text})
    if route.query is None:
        return found
    schema = route.query.model_json_schema()
    for name, field in schema.get("properties", {}).items():
        # What is not given is null in the model; a query string itself cannot say null.
        (some, *_) = [one for one in field.get("anyOf", [{}]) if one.get("type") != "null"]
        kept = {key: value for key, value in {**some, **field}.items() if key not in {"title", "anyOf"}}
        if kept.get("default", "") is None:
            del kept["default"]
        found.append({"name": name, "in": "query", "required": name in schema.get("required", []), "schema": kept})
    return found


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
