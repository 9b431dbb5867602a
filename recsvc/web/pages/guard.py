"""Who may see the pages: somebody at this machine, and nobody through a proxy or another name for it.

The pages show customers without a key, so they are for demonstrations on one's own machine. Elsewhere, and to a
browser that was lured to this port under a foreign name (DNS rebinding), they do not exist.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from flask import Flask, Response, request

from recsvc.errors import NotFound, Unsupported

_LOCAL_HOST: Final = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
_FORWARDED: Final = ("Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip")
_PAGE: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Swagger UI writes style attributes and has its icons in data: URLs.
_DOCS: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def install(app: Flask) -> None:
    """Put the checks before every path of the pages, also before its 404 and 405, and the headers behind."""
    app.before_request(_check)
    app.after_request(_headers)


def _ours(path: str) -> bool:
    return path == "/" or path.startswith(("/pages/", "/docs/")) or path in {"/pages", "/docs"}


def _check() -> None:
    if not _ours(request.path):
        return
    # No browser speaks HTTP/1.0 any more; a proxy that hides itself, as nginx does unless told otherwise, does.
    if request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        raise NotFound("there is nothing at this path")
    if not (_loopback(request.remote_addr) and _LOCAL_HOST.fullmatch(request.headers.get("Host", ""))):
        raise NotFound("there is nothing at this path")
    if any(name in _FORWARDED or name.startswith("X-Forwarded") for name in request.headers.keys()):  # noqa: SIM118
        raise NotFound("there is nothing at this path")
    if request.method not in {"GET", "HEAD"}:
        _check_write()


def _check_write() -> None:
    """Refuse what another site may send from this browser: a form, or a request with its Origin."""
    if request.mimetype != "application/json":
        raise Unsupported(f"Content-Type: {request.mimetype or 'missing'}, must be application/json")
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() not in {f"{s}://{request.headers['Host'].lower()}" for s in _SCHEMES}:
        raise NotFound("there is nothing at this path")


_SCHEMES: Final = ("http", "https")


def _loopback(address: str | None) -> bool:
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:  # a unix socket has no address; who is behind it is unknown
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def _headers(response: Response) -> Response:
    if _ours(request.path):
        response.headers["Content-Security-Policy"] = _DOCS if request.path.startswith("/docs") else _PAGE
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers.setdefault("Cache-Control", "no-store")
    return response
