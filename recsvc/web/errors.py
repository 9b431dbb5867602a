"""Errors as RFC 9457 problem documents: one table from error to status, and no stack trace to a caller."""

from __future__ import annotations

import json
import math
from typing import Any

import structlog
from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException

from recsvc import errors

log = structlog.get_logger("recsvc.web")


def install(app: Flask) -> None:
    """Answer every error of the app with a problem document."""
    app.register_error_handler(errors.RecsvcError, _ours)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def problem(error: errors.RecsvcError, request_id: str) -> Response:
    """Return the document of an error."""
    body = {
        "type": "about:blank", "title": error.title, "status": error.status, "detail": error.message,
        "errors": [{"field": field, "message": message} for field, message in error.fields.items()],
        "request_id": request_id,
    }  # fmt: skip
    reply = Response(json.dumps(body), error.status, content_type="application/problem+json")
    if error.status == errors.Unauthorized.status:
        reply.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.TooMany):
        reply.headers["Retry-After"] = str(max(1, math.ceil(error.wait_seconds)))
    if error.status == errors.Unavailable.status:
        reply.headers["Retry-After"] = "1"
    return reply


def _ours(error: errors.RecsvcError) -> Response:
    return problem(error, g.get("request_id", ""))


def _http(error: HTTPException) -> Any:
    known: dict[int, errors.RecsvcError] = {
        404: errors.NotFound("there is nothing at this path"),
        405: errors.MethodNotAllowed("this path does not take this method"),
        413: errors.TooLarge("the body is over the limit"),
        415: errors.Unsupported("the body must be application/json"),
    }
    reply = _ours(known.get(error.code or 500, errors.InvalidRequest(error.description or error.name)))
    allowed = getattr(error, "valid_methods", None)
    if error.code == errors.MethodNotAllowed.status and allowed:
        reply.headers["Allow"] = ", ".join(sorted(allowed))
    return reply


def _unexpected(error: Exception) -> Response:
    log.exception("unexpected error", kind=type(error).__name__, request_id=g.get("request_id", ""))
    return _ours(errors.RecsvcError("something went wrong here; the log has it under the request id"))
