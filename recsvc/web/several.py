"""Several at once over HTTP: the lists of a page, the caller's items in order, lists for many customers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from flask import Response
from pydantic import Field

from recsvc.flows import batch, blocks, rank
from recsvc.flows.batch import Line
from recsvc.flows.questions import Question, split
from recsvc.web import questions
from recsvc.web.bulk import NDJSON
from recsvc.web.contract import Route, read_body, read_query, validated
from recsvc.web.list_outputs import PageReply, RankReply
from recsvc.web.lists import reply, shop
from recsvc.web.questions import QuestionBody, RecommendationsQuery, SessionIn, Some
from recsvc.web.schemas import _INTEGRAL, Id, In, Placement
from recsvc.web.streams import customer_alone, lines_of, until_broken


class BlockIn(In):
    """One block of a page."""

    placement: Placement = "home"
    limit: Some = 10


class PageBody(In):
    """A page. distinct: no item twice; it stands in the first block that has it."""

    customer_id: Id | None = None
    blocks: list[BlockIn] = Field(min_length=1, max_length=20)
    distinct: bool = True
    session: list[SessionIn] = Field([], max_length=1000)
    items: list[Id] = Field([], max_length=1000)
    locale: questions.Locale | None = None


class RankBody(In):
    """Items to bring into a customer's order; one given twice counts once."""

    customer_id: Id
    items: list[Id] = Field(min_length=1, max_length=1000)
    limit: Annotated[int, Field(ge=1, le=1000), _INTEGRAL] = 1000


class BatchLine(QuestionBody):
    """A customer, and what is asked for them beside what the query string asks for everybody."""

    customer_id: Id


def page() -> Response:
    """Answer the lists of a page."""
    body = read_body(PageBody)
    asked = [Question(one.placement, one.limit, locale=body.locale) for one in body.blocks]
    doing = questions.events(body.session, body.items, None, shop().clock())
    return reply(blocks.page(shop(), body.customer_id, asked, body.distinct, doing))


def ranked() -> Response:
    """Answer the caller's items in a customer's order."""
    body = read_body(RankBody)
    return reply(rank.rank(shop(), body.customer_id, body.items, body.limit))


def many() -> Response:
    """Answer a line for each line: a customer's list, or why there is none."""
    query = read_query(RecommendationsQuery)
    usual = questions.question(query, split(shop(), query.exclude))
    asked: Iterator[Line] = until_broken(lines_of(partial(_line, usual)))
    return Response(batch.lines(shop(), asked), content_type=NDJSON)


_NAMES = {"category": "wanted", "filter": "wanted"}


def _line(usual: Question, value: Any) -> Line:
    """Return a customer and what is asked for them: what the query string says, but for what the line says."""
    customer_id = customer_alone(value)
    if customer_id is not None:
        return customer_id, usual
    body = validated(BatchLine, value)
    own = questions.question(body, body.exclude)
    said = {_NAMES.get(name, name) for name in body.model_fields_set} - {"customer_id"}
    return body.customer_id, replace(usual, said=usual.said | own.said, **{name: getattr(own, name) for name in said})


ROUTES = [
    Route("POST", "/v1/pages", "The lists of a page, no item twice", page, scope="storefront", body=PageBody,
          reply=PageReply, writes=False),
    Route("POST", "/v1/rank", "The caller's items in a customer's order", ranked, scope="storefront", body=RankBody,
          reply=RankReply, writes=False),
    Route("POST", "/v1/batch/recommendations", "A list for each of many customers, a line for a line", many,
          scope="campaign", query=RecommendationsQuery, body=BatchLine, content=NDJSON, many=True, writes=False),
]  # fmt: skip
