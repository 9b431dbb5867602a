"""H, what every request is measured beside: a Flask view that does nothing, under the same gunicorn settings."""

from __future__ import annotations

from flask import Flask, Response, jsonify

app = Flask(__name__)


@app.get("/")
def hello() -> Response:
    """Say hello."""
    return jsonify(hello="world")
