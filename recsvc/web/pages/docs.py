"""The API's description in a browser: Swagger UI, from files of this machine.

The files come out of the wheel `flask-openapi3-swagger` without importing it: what it imports is not needed here.
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, Response, render_template, send_from_directory

from recsvc.errors import NotFound

_OWN = Path(__file__).parent / "static"
# What the page asks for → where the wheel has it.
_FILES = {
    "swagger-ui.css": "css/swagger-ui.css", "swagger-ui-bundle.js": "js/swagger-ui-bundle.js",
}  # fmt: skip

docs = Blueprint("docs", __name__, template_folder="templates")


@functools.cache
def _viewer() -> Path | None:
    """Return the folder of Swagger UI, None when the wheel is not installed or has other files."""
    found = find_spec("flask_openapi3_swagger")
    for place in (found.submodule_search_locations or []) if found else []:
        folder = Path(place) / "templates" / "swagger"
        if all((folder / name).is_file() for name in _FILES.values()):
            return folder
    return None


@docs.get("/docs")
def viewer() -> str:
    """Answer the viewer, or how to get it."""
    return render_template("docs.html" if _viewer() else "no_viewer.html")


@docs.get("/docs/static/<name>")
def static_file(name: str) -> Response:
    """Answer a file of the viewer."""
    if name in {"docs.js", "page.css", "icon.svg"}:
        return send_from_directory(_OWN, name)
    folder = _viewer()
    if folder is None or name not in _FILES:
        raise NotFound("there is nothing at this path")
    return send_from_directory(folder, _FILES[name])
