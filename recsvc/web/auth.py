"""Who may ask: an API key in `X-API-Key` or `Authorization: Bearer`, never in the query string."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import g, request

from recsvc.errors import Unauthorized

Admit = Callable[[str, str], str]
"""Takes a key and the scope that is needed; returns the key's id, or raises."""

ADMITTED: Final = "recsvc.admitted"
REFUSED: Final = "recsvc.key_refused"
"""Where a layer further out says that it has admitted the key for its route, as which, or why it has not."""


def require(admit: Admit, scope: str) -> None:
    """Let the request pass when it carries a live key that has the scope. Its id is then in `g.key_id`.

    Raises:
        Unauthorized: no key, or not a live one; says which.
        Forbidden: the key lacks the scope.
        TooMany: the key's rate is used up.
    """
    if REFUSED in request.environ:
        raise request.environ[REFUSED]
    if ADMITTED in request.environ:
        g.key_id = request.environ[ADMITTED]
        return
    key = given(request.headers.get("X-API-Key"), request.headers.get("Authorization", ""))
    if not key:
        raise Unauthorized("X-API-Key: is missing; send a key there or as Authorization: Bearer")
    g.key_id = admit(key, scope)


def given(api_key: str | None, authorization: str) -> str | None:
    """Return the key that the two headers hold, None or empty when neither does."""
    if api_key is None and authorization[:7].lower() == "bearer ":
        return authorization[7:].strip()
    return api_key
