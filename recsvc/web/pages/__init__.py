"""The pages: a shop's lists on one page, and the API's description in a browser. For demonstrations only.

No key reaches the browser: the page's routes call the flows, with the parsing and the schemas of the API. They are
no part of the API and not in its description.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, render_template, send_from_directory

from recsvc.errors import InvalidRequest, NotFound, Unavailable
from recsvc.flows import interactions, offer_story, showcase
from recsvc.flows.replies import encode
from recsvc.strict_json import read_json
from recsvc.web.contract import body_bytes, read_query
from recsvc.web.interactions import checked
from recsvc.web.lists import shop
from recsvc.web.pages import docs, guard, panels, stories
from recsvc.web.schemas import Id, In, Text

_FOLDER = Path(__file__).parent
_FILES = {"page.css", "page.js", "icon.svg"}
_SUGGESTED = 12

pages = Blueprint("pages", __name__, template_folder="templates")


class PageQuery(In):
    """Whose lists, and the item that is opened."""

    customer_id: Id | None = None
    item_id: Id | None = None


class ItemQuery(In):
    """The item that is opened, and for whom."""

    item_id: Id
    customer_id: Id | None = None


class OfferQuery(In):
    """The offer that is opened."""

    offer_id: Id


class SearchQuery(In):
    """The beginning of a customer's id."""

    q: Text = ""


def install(app: Flask) -> None:
    """Add the pages to an app."""
    app.register_blueprint(pages)
    app.register_blueprint(docs.docs)
    guard.install(app)


@pages.get("/")
def page() -> Response:
    """Answer the page, complete without JavaScript."""
    seen: dict[str, Any] = {"customer": None, "panels": [], "opened": None, "problem": None}
    status = 200
    stars = showcase.customers(shop())
    try:
        query = read_query(PageQuery)
        chosen = query.customer_id or (stars[0].customer_id if stars else None)
        seen |= panels.view(shop(), chosen)
        if query.item_id is not None:
            seen["opened"] = panels.around(shop(), query.item_id, chosen)
    except (InvalidRequest, NotFound) as error:
        seen["problem"], status = error.message, error.status
    body = render_template("page.html", showcase=stars, blank=panels.BLANK, **seen, **panels.facts(shop()))
    return Response(body, status, content_type="text/html; charset=utf-8")


@pages.get("/pages/item")
def item() -> Response:
    """Answer what is like an item and what is bought with it."""
    query = read_query(ItemQuery)
    return _json(panels.around(shop(), query.item_id, query.customer_id))


@pages.get("/pages/offer")
def offer() -> Response:
    """Answer the page of one offer: what is left of it, its claims, and why customers do not get it."""
    status, problem, told = 200, "", None
    try:
        told = stories.told(offer_story.story(shop(), read_query(OfferQuery).offer_id))
    except (InvalidRequest, NotFound, Unavailable) as error:
        problem, status = error.message, error.status
    body = render_template("offer.html", told=told, problem=problem)
    return Response(body, status, content_type="text/html; charset=utf-8")


@pages.get("/pages/search")
def search() -> Response:
    """Answer ids of customers that begin with what was typed."""
    text = read_query(SearchQuery).q
    return _json({"customers": showcase.search(shop(), text, _SUGGESTED) if text else []})


@pages.post("/pages/interactions")
def interact() -> Response:
    """Store an interaction and answer the lists as they are now; `took_ms` is for the commit and the first list."""
    given = checked(read_json(body_bytes()))
    customer_id = given.get("customer_id")
    if customer_id is None:
        raise InvalidRequest("customer_id: is missing", {"customer_id": "is missing"})
    start = time.perf_counter()
    interactions.record(shop(), [given], [], None)
    panels.home(shop(), customer_id)
    took = (time.perf_counter() - start) * 1000
    return _json({**panels.view(shop(), customer_id), "took_ms": round(took, 1)})


@pages.get("/pages/static/<name>")
def static_file(name: str) -> Response:
    """Answer a file of the page."""
    if name not in _FILES:
        raise NotFound("there is nothing at this path")
    return send_from_directory(_FOLDER / "static", name)


def _json(value: dict[str, Any]) -> Response:
    return Response(encode(value), content_type="application/json")
