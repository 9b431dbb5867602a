"""Who may ask: an API key in `X-API-Key` or `Authorization: Bearer`, never in the query string."""

from __future__ import annotations

from collections.abc import Callable

from flask import g, request

from recsvc.errors import Unauthorized

Admit = Callable[[str, str], str]
"""Takes a key and the scope that is needed; returns the key's id, or raises."""


def require(admit: Admit, scope: str) -> None:
    """Let the request pass when it carries a live key that has the scope. Its id is then in `g.key_id`.

    Raises:
        Unauthorized: no key, or not a live one; says which.
        Forbidden: the key lacks the scope.
        TooMany: the key's rate is used up.
    """
    given = request.headers.get("X-API-Key")
    bearer = request.headers.get("Authorization", "")
    if given is None and bearer[:7].lower() == "bearer ":
        given = bearer[7:].strip()
    if not given:
        raise Unauthorized("X-API-Key: is missing; send a key there or as Authorization: Bearer")
    g.key_id = admit(given, scope)
