"""Ids in paths, exactly as sent: routed on the raw path, so that `a%2Fb` is one id and `%ff` is not two.

A server hands over the path already decoded, where `a/b` and `a%2Fb` are the same. This layer decodes the raw
path segment by segment, and carries a slash inside an id as NUL, which no id may hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from werkzeug.routing import BaseConverter

_SLASH = "\x00"
# A proxy may send the whole URL as the target.
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?]*")


class IdConverter(BaseConverter):
    """The `<id:…>` of a route."""

    regex = "[^/]+"
    part_isolating = True

    def to_python(self, value: str) -> str:
        """Return the id with its slashes."""
        return value.replace(_SLASH, "/")


class RawPath:
    """A WSGI layer that replaces PATH_INFO by the raw path, decoded by segment."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request. A path that is not UTF-8, or holds NUL, is marked for `refused`."""
        raw = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
        path = _SCHEME.sub("", raw).split("?", 1)[0]
        if path.startswith("/"):
            segments = [unquote_to_bytes(one) for one in path.split("/")]
            if any(b"\x00" in one for one in segments):
                environ["recsvc.refused"] = "path: must not hold NUL"
            segments = [one.replace(b"\x00", b"").replace(b"/", _SLASH.encode()) for one in segments]
            decoded = b"/".join(segments)
            try:
                decoded.decode("utf-8")
            except UnicodeDecodeError:
                environ["recsvc.refused"] = "path: not UTF-8"
            environ["PATH_INFO"] = decoded.decode("latin-1")
        return self._app(environ, start_response)
