"""The published models over HTTP."""

from __future__ import annotations

from typing import Any

from flask import Response

from recsvc.flows import models
from recsvc.flows.replies import encode
from recsvc.web.contract import Route, read_query
from recsvc.web.lists import shop
from recsvc.web.outputs import ModelsReply
from recsvc.web.schemas import Nothing


def listing() -> Response:
    """Answer which versions there are."""
    read_query(Nothing)
    return _reply(models.listing(shop()))


def use(version: str) -> Response:
    """Take a version into use, and answer as `listing`."""
    read_query(Nothing)
    return _reply(models.use(shop(), version))


def _reply(value: dict[str, Any]) -> Response:
    out = Response(encode(value), content_type="application/json")
    out.headers["Cache-Control"] = "private, no-cache"
    return out


ROUTES = [
    Route("GET", "/v1/models", "Published models, newest first", listing, scope="admin", reply=ModelsReply),
    Route("POST", "/v1/models/{version}/use", "Take a model into use, forward or back", use, scope="admin",
          reply=ModelsReply),
]  # fmt: skip
