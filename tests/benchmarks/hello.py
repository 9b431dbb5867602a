"""H, what every request is measured beside: a Flask view that does nothing, under the same gunicorn settings.

And what is left when Flask is taken away too: the least that gunicorn itself takes for an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, jsonify

app = Flask(__name__)


@app.get("/")
def hello() -> Response:
    """Say hello."""
    return jsonify(hello="world")


_BODY = b"{}" * 2000
_HEAD = [("Content-Type", "application/json"), ("Content-Length", str(len(_BODY)))]


def bare(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer as many bytes as a list of ten has, and do nothing else."""
    start_response("200 OK", _HEAD)
    return [_BODY]
