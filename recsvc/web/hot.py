"""Customers' lists, answered in front of Flask.

Routing, parsing and building a response cost Flask more than finding the bytes. What a query string asks is learnt
from the view: the first time it answers, later it is looked up. Whatever is not plain goes to the view, which then does
not admit the key a second time. `tests/web/test_hot.py` holds both answers equal, byte for byte.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from werkzeug.http import parse_etags

from recsvc.errors import RecsvcError
from recsvc.flows.questions import Question
from recsvc.flows.replies import Answer
from recsvc.web import auth, requests

ROUTE: Final = "/v1/customers/{customer_id}/recommendations"
SCOPE: Final = "storefront"
LEARNT: Final = "recsvc.learnt"
_BEFORE, _AFTER = ROUTE.split("{customer_id}")
# An id that no rule of a URL or of this API could read in two ways; all others are the view's.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
# Of `exclude` the question hangs on the catalogue: an entry that is no item's id is read as several.
_LEARNABLE: Final = re.compile(r"((?!exclude=)[a-z_]+=[^&]*(&|$))*")
_QUERIES = 4096
_QUERY_BYTES = 256

App = Callable[..., Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What app.py hands in. admit: as in `auth`. answer: (customer_id, question) → the list. expose: (body, etag,
    cache, channel) → exposure id. epoch: a number; what was learnt under another one is learnt again. sample: share of
    answers that get a line in the log."""

    admit: auth.Admit
    answer: Callable[[str, Question], Answer]
    expose: Callable[[bytes, str, str, str | None], str]
    epoch: Callable[[], int]
    sample: float


@dataclass(slots=True)
class Hot:
    """A WSGI layer around `app`."""

    app: App
    parts: Parts
    _questions: dict[str, Question] = field(default_factory=dict)
    _epoch: int = -1

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request, or have the app do it."""
        started = time.perf_counter()
        raw = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
        if environ["REQUEST_METHOD"] != "GET" or not raw.startswith(_BEFORE):
            return self.app(environ, start_response)
        path, _, query = raw.partition("?")
        customer_id = path[len(_BEFORE) : -len(_AFTER)]
        if not path.endswith(_AFTER) or not _PLAIN.fullmatch(customer_id) or query != environ.get("QUERY_STRING", ""):
            return self.app(environ, start_response)
        question = self._question(query)
        if question is None:
            return self._learn(query, environ, start_response)
        if not self._admitted(environ):
            return self.app(environ, start_response)
        try:
            answer = self.parts.answer(customer_id, question)
        except Exception:  # the view runs into the same, and knows how to say so
            return self.app(environ, start_response)
        return self._reply(environ, start_response, answer, question.channel, started)

    def _question(self, query: str) -> Question | None:
        epoch = self.parts.epoch()
        if epoch != self._epoch:
            self._questions, self._epoch = {}, epoch
        return self._questions.get(query)

    def _learn(self, query: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Have the app answer, and remember what it took the query for."""
        epoch = self.parts.epoch()
        body = self.app(environ, start_response)
        question = environ.get(LEARNT)
        if question is None or len(query) > _QUERY_BYTES or not _LEARNABLE.fullmatch(query):
            return body
        if epoch == self._epoch == self.parts.epoch():
            if len(self._questions) >= _QUERIES:
                self._questions = {}
            self._questions[query] = question
        return body

    def _admitted(self, environ: dict[str, Any]) -> bool:
        """Admit the key, once for this layer and the view. False: the view shall say why not."""
        given = auth.given(environ.get("HTTP_X_API_KEY"), environ.get("HTTP_AUTHORIZATION", ""))
        if not given:
            return False
        try:
            environ[auth.ADMITTED] = self.parts.admit(given, SCOPE)
        except RecsvcError as error:
            environ[auth.REFUSED] = error
            return False
        return True

    def _reply(
        self, environ: dict[str, Any], start_response: Any, answer: Answer, channel: str | None, started: float
    ) -> Iterable[bytes]:
        asked = environ.get("HTTP_IF_NONE_MATCH")
        unchanged = asked is not None and parse_etags(asked).contains_weak(answer.etag)
        request_id = requests.named(environ.get("HTTP_X_REQUEST_ID", ""))
        headers = [
            ("ETag", f'"{answer.etag}"'), ("Cache-Control", "private, no-cache"), ("X-Cache", answer.cache),
            ("X-Exposure-Id", self.parts.expose(answer.body, answer.etag, answer.cache, channel)),
        ]  # fmt: skip
        degraded = ", ".join(answer.degraded) or None
        if degraded:
            headers.append(("X-Degraded", degraded))
        headers += [("X-Request-Id", request_id), ("X-Content-Type-Options", "nosniff")]
        if not unchanged:
            headers[:0] = [("Content-Type", "application/json"), ("Content-Length", str(len(answer.body)))]
        status = 304 if unchanged else 200
        if requests.counted(ROUTE, status, time.perf_counter() - started, self.parts.sample):
            requests.tell(
                route=ROUTE, method="GET", status=status, ms=round((time.perf_counter() - started) * 1000, 2),
                request_id=request_id, key_id=environ[auth.ADMITTED], source=answer.source or None,
                cache=answer.cache, degraded=degraded,
            )  # fmt: skip
        start_response("304 NOT MODIFIED" if unchanged else "200 OK", headers)
        return [b"" if unchanged else answer.body]
