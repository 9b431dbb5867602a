"""Health and metrics."""

from __future__ import annotations

from flask import Response

from recsvc import metrics
from recsvc.flows import health
from recsvc.flows.replies import encode
from recsvc.web.contract import Route
from recsvc.web.lists import shop
from recsvc.web.outputs import Health, Ready


def healthz() -> Response:
    """Answer that the process is alive."""
    return Response(encode({"status": "ok"}), content_type="application/json")


def readyz() -> Response:
    """Answer what is there. 503 when nothing could be answered (no database, and no model or no copy
    of it), and when the service is about to end."""
    state = health.ready(shop())
    status = 503 if state["status"] in {"starting", "draining"} else 200
    return Response(encode(state), status, content_type="application/json")


def exposition() -> Response:
    """Answer the counters of all workers."""
    body, content_type = metrics.render()
    return Response(body, content_type=content_type)


ROUTES = [
    Route("GET", "/healthz", "Whether the process answers", healthz, reply=Health, scope=None),
    Route("GET", "/readyz", "What is there and what is away", readyz, reply=Ready, scope=None),
    Route("GET", "/metrics", "Counters for Prometheus", exposition, content="text/plain", scope=None),
]
