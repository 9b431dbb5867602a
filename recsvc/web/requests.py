"""Each request: named, timed, counted, and of some one line in the log, without anything a caller sent but its id.

A line for every answer that is an error, and for a sample of the others: its route template, never its path.
"""

from __future__ import annotations

import random
import re
import time
from typing import Any, Final

import structlog
from flask import Flask, Response, g, request

from recsvc import metrics
from recsvc.errors import InvalidRequest
from recsvc.flows.replies import new_id

log = structlog.get_logger("recsvc.request")

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_CONVERTER: Final = re.compile(r"<(?:\w+:)?(\w+)>")
_templates: dict[str, str] = {}
# Finding a counter by its labels costs as much as counting.
_counters: dict[tuple[str, int], tuple[Any, Any]] = {}


def install(app: Flask, sample: float) -> None:
    """Put the beginning before every request of an app and the end behind it.

    Args:
        sample: share of the answers without error that get a line, 0 to 1.
    """
    app.before_request(_begin)

    def end(response: Response) -> Response:
        return _end(response, sample)

    app.after_request(end)


def named(given: str) -> str:
    """Return the caller's name for a request when it is one, else a new one."""
    return given if _REQUEST_ID.fullmatch(given) else new_id()


def counted(route: str, status: int, seconds: float, sample: float) -> bool:
    """Count an answer. Returns whether it gets a line in the log."""
    known = _counters.get((route, status))
    if known is None:
        known = metrics.REQUESTS.labels(route, str(status)), metrics.SECONDS.labels(route)
        _counters[route, status] = known
    known[0].inc()
    known[1].observe(seconds)
    return status >= 400 or random.random() < sample  # noqa: S311 not a secret


def tell(**fields: Any) -> None:
    """Write the line of a request."""
    log.info("request", **fields)


def _begin() -> None:
    g.started = time.perf_counter()
    g.request_id = named(request.headers.get("X-Request-Id", ""))
    if "recsvc.refused" in request.environ:
        raise InvalidRequest(request.environ["recsvc.refused"])


def _end(response: Response, sample: float) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "")
    response.headers["X-Content-Type-Options"] = "nosniff"
    now = time.perf_counter()
    seconds, status, route = now - g.get("started", now), response.status_code, _route()
    if counted(route, status, seconds, sample):
        tell(
            route=route, method=_method(), status=status, ms=round(seconds * 1000, 2),
            request_id=g.get("request_id", ""), key_id=g.get("key_id"), source=g.get("source"),
            cache=response.headers.get("X-Cache"), degraded=response.headers.get("X-Degraded"),
        )  # fmt: skip
    return response


def _route() -> str:
    """Return the route template as the OpenAPI document writes it, `unknown` where there is none."""
    if request.url_rule is None:
        return "unknown"
    rule = request.url_rule.rule
    known = _templates.get(rule)
    if known is None:
        known = _templates[rule] = _CONVERTER.sub(r"{\1}", rule)
    return known


def _method() -> str:
    """Return the method, when it is one: a caller may send any word."""
    return request.method if request.method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"
