"""Lists and offers over HTTP."""

from __future__ import annotations

from flask import Response, current_app, g, request

from recsvc.flows import exposures, lists, popular, related
from recsvc.flows.popular import Asked
from recsvc.flows.questions import split
from recsvc.flows.replies import Answer
from recsvc.flows.shop import Shop
from recsvc.web import hot, questions
from recsvc.web.contract import Route, read_body, read_query
from recsvc.web.outputs import ListReply, RelatedReply
from recsvc.web.questions import RecommendationsBody, RecommendationsQuery, RelatedQuery
from recsvc.web.schemas import WindowQuery


def shop() -> Shop:
    """Return the shop this app was built for."""
    found = current_app.extensions["recsvc"]
    assert isinstance(found, Shop)
    return found


def recommendations(customer_id: str) -> Response:
    """Answer a customer's personal list."""
    query = read_query(RecommendationsQuery)
    asked = questions.question(query, split(shop(), query.exclude))
    request.environ[hot.LEARNT] = asked
    return reply(lists.recommendations(shop(), customer_id, asked), asked.channel)


def post_recommendations() -> Response:
    """Answer a question sent as an object."""
    body = read_body(RecommendationsBody)
    on = body.context.item_id if body.context is not None else None
    asked = questions.question(body, body.exclude if on is None else [*body.exclude, on])
    doing = questions.events(body.session, body.items, on, shop().clock())
    return reply(lists.recommendations(shop(), body.customer_id, asked, doing), asked.channel)


def similar(item_id: str) -> Response:
    """Answer similar items."""
    query = read_query(RelatedQuery)
    asked = questions.related(query, split(shop(), query.exclude))
    return reply(related.similar(shop(), item_id, query.customer_id, asked))


def bought_together(item_id: str) -> Response:
    """Answer items of the same orders."""
    query = read_query(RelatedQuery)
    asked = questions.related(query, split(shop(), query.exclude))
    return reply(related.bought_together(shop(), item_id, query.customer_id, asked))


def trending() -> Response:
    """Answer what sells more than it did."""
    query = read_query(WindowQuery)
    return reply(popular.trending(shop(), Asked(query.window_days, query.limit, query.category)))


def bestsellers() -> Response:
    """Answer what sold most."""
    query = read_query(WindowQuery)
    return reply(popular.bestsellers(shop(), Asked(query.window_days, query.limit, query.category)))


def new() -> Response:
    """Answer what is new."""
    query = read_query(WindowQuery)
    return reply(popular.new(shop(), Asked(query.window_days, query.limit, query.category)))


def reply(answer: Answer, channel: str | None = None) -> Response:
    """Return an answer's bytes under their headers, and record that; 304 when the caller has them already."""
    g.source = answer.source or None
    etag = answer.etag
    unchanged = request.if_none_match.contains_weak(etag)
    out = Response(b"" if unchanged else answer.body, 304 if unchanged else 200, content_type="application/json")
    out.headers["ETag"] = f'"{etag}"'
    out.headers["Cache-Control"] = "private, no-cache"
    out.headers["X-Cache"] = answer.cache
    out.headers["X-Exposure-Id"] = exposures.expose(shop(), answer.body, etag, answer.cache, channel)
    if answer.degraded:
        out.headers["X-Degraded"] = ", ".join(answer.degraded)
    return out


_CUSTOMER = "/v1/customers/{customer_id}"
ROUTES = [
    Route("GET", f"{_CUSTOMER}/recommendations", "A customer's personal list", recommendations, scope="storefront",
          query=RecommendationsQuery, reply=ListReply),
    Route("POST", "/v1/recommendations", "The list of a customer or a session, for what they are doing now",
          post_recommendations, scope="storefront", body=RecommendationsBody, reply=ListReply, writes=False),
    Route("GET", "/v1/items/{item_id}/similar", "Items whose buyers are most like this item's", similar,
          scope="storefront", query=RelatedQuery, reply=RelatedReply),
    Route("GET", "/v1/items/{item_id}/bought-together", "Items found in the same order", bought_together,
          scope="storefront", query=RelatedQuery, reply=RelatedReply),
    Route("GET", "/v1/trending", "What sells more than it did", trending, scope="storefront", query=WindowQuery,
          reply=ListReply),
    Route("GET", "/v1/bestsellers", "What sold most, net of returns", bestsellers, scope="storefront",
          query=WindowQuery, reply=ListReply),
    Route("GET", "/v1/new", "What is new in the catalogue", new, scope="storefront", query=WindowQuery,
          reply=ListReply),
]  # fmt: skip
