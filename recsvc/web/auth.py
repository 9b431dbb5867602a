"""Who may ask: an API key in `X-API-Key` or `Authorization: Bearer`, never in the query string."""

from __future__ import annotations

from collections.abc import Callable

from flask import request

from recsvc.errors import Unauthorized

KeyCheck = Callable[[str], bool]


def require(check: KeyCheck) -> None:
    """Let the request pass when it carries a live key.

    Raises:
        Unauthorized: no key, or not a live one; says which.
    """
    given = request.headers.get("X-API-Key")
    bearer = request.headers.get("Authorization", "")
    if given is None and bearer[:7].lower() == "bearer ":
        given = bearer[7:].strip()
    if not given:
        raise Unauthorized("X-API-Key: is missing; send a key there or as Authorization: Bearer")
    if not check(given):
        raise Unauthorized("X-API-Key: not a live key")
