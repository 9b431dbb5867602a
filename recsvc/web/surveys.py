"""Surveys by a link: one is made with a key, and answered without one, on a page that works from an e-mail."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final
from urllib.parse import parse_qsl

import structlog
from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from recsvc.errors import NotFound, RecsvcError, Unavailable
from recsvc.flows import surveys
from recsvc.flows.replies import encode
from recsvc.flows.surveys import Link
from recsvc.web import survey_page
from recsvc.web.contract import Route, read_body, read_query
from recsvc.web.lists import shop
from recsvc.web.outputs import Out
from recsvc.web.schemas import _INTEGRAL, SCORES, Channel, Id, In, Nothing, Survey

_MOST_BYTES: Final = 16_384
_FORM: Final = "application/x-www-form-urlencoded"
log = structlog.get_logger("recsvc.surveys")


class SurveyLinkBody(In):
    """Whom to ask what, and for how long."""

    customer_id: Id
    kind: Survey
    about: Id | None = Field(None, description="What it is about: an order, an item, a contact.")
    channel: Channel | None = Field("email", description="Through which channel the link goes out.")
    days: Annotated[int, Field(ge=1, le=365), _INTEGRAL] = Field(30, description="How long it can be answered.")


class SurveyLink(Out):
    """A link to be put behind the shop's own address of this service."""

    path: str
    token: str
    expires_at: datetime


class AnswerForm(BaseModel):
    """What the page sends."""

    model_config = ConfigDict(extra="forbid")
    score: int = Field(ge=0, le=10)
    comment: str = ""


def make() -> Response:
    """Answer a link that asks a customer one question."""
    read_query(Nothing)
    body = read_body(SurveyLinkBody)
    found = surveys.link(shop(), body.model_dump(), body.days)
    return Response(encode(found), content_type="application/json")


def ask(token: str) -> Response:
    """Answer the page with the question. Opening it stores nothing: mail scanners open every link there is."""
    try:
        asked = _open(token)
        if isinstance(asked, Response):
            return asked
        chosen = _score(request.args.get("score", ""), asked.kind)
        return _reply(survey_page.question(asked.kind, chosen, _language()))
    except RecsvcError as error:
        return _failed(error)


def take(token: str) -> Response:
    """Store what the page sent, once for each link, and say thanks."""
    try:
        asked = _open(token)
        if isinstance(asked, Response):
            return asked
        form = _form()
        score = _score(form.get("score", ""), asked.kind)
        if score is None:
            return _said("wrong", "wrong_more", 400)
        comment = form.get("comment", "").replace("\x00", "").strip()[: survey_page.MOST_COMMENT]
        first = surveys.answer(shop(), token, asked, score, comment)
    except RecsvcError as error:
        return _failed(error)
    return _said("thanks", "kept" if first else "again", 200)


def _open(token: str) -> Link | Response:
    """Return what a link asks, or the page that says that it cannot be answered."""
    asked = surveys.read(shop(), token)
    return _said("over", "over_more", 410) if surveys.expired(shop(), asked) else asked


def _form() -> dict[str, str]:
    """Return the fields of the form; empty where it is none of the page's."""
    if request.mimetype != _FORM or (request.content_length or 0) > _MOST_BYTES:
        return {}
    try:
        text = request.stream.read(_MOST_BYTES + 1).decode("utf-8")
        found = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=10, errors="strict"))
    except ValueError:
        return {}
    return found if found.keys() <= AnswerForm.model_fields.keys() else {}


def _score(text: str, kind: str) -> int | None:
    """Return a score of a question, None for what is none."""
    low, high = SCORES[kind]
    known = {str(score): score for score in range(low, high + 1)}
    return known.get(text)


def _failed(error: RecsvcError) -> Response:
    if isinstance(error, NotFound):
        return _said("unknown", "unknown_more", 404)
    out = _said("away", "away_more", 503)
    out.headers["Retry-After"] = "60"
    if not isinstance(error, Unavailable):
        log.error("survey failed", why=type(error).__name__)
    return out


def _language() -> str:
    return request.accept_languages.best_match(survey_page.LANGUAGES, survey_page.LANGUAGES[0]) or "en"


def _said(head: str, text: str, status: int) -> Response:
    return _reply(survey_page.said(head, text, _language()), status)


def _reply(text: str, status: int = 200) -> Response:
    out = Response(text, status, content_type="text/html; charset=utf-8")
    out.headers["Content-Security-Policy"] = survey_page.POLICY
    out.headers["Cache-Control"] = "no-store"
    out.headers["Referrer-Policy"] = "no-referrer"
    out.headers["X-Frame-Options"] = "DENY"
    out.headers["X-Robots-Tag"] = "noindex"
    return out


ROUTES = [
    Route("POST", "/v1/surveys/links", "A link that asks a customer one question, for an e-mail", make,
          scope="campaign", body=SurveyLinkBody, reply=SurveyLink, writes=False),
    Route("GET", "/s/{token}", "The page of a survey; opening it stores nothing", ask, content="text/html", scope=None),
    Route("POST", "/s/{token}", "The answer to a survey, stored once for each link", take, content="text/html",
          scope=None, form=AnswerForm),
]  # fmt: skip
