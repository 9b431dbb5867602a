"""create_app: the one place where every part is built and joined."""

from __future__ import annotations

import os

# One request is one thread; BLAS threads beside them would make each wait for the others. Before numpy loads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import functools
import re
import time
from collections.abc import Callable

from flask import Flask, Response, g, request

from recsvc import logs, metrics
from recsvc.errors import InvalidRequest
from recsvc.flows import health
from recsvc.flows.current import Current
from recsvc.flows.replies import new_id
from recsvc.flows.shop import Shop
from recsvc.intake import identifier
from recsvc.settings import Settings
from recsvc.store import database
from recsvc.store.cache import Cache
from recsvc.store.live import Live
from recsvc.web import auth, errors
from recsvc.web.contract import Route
from recsvc.web.openapi import ROUTES
from recsvc.web.paths import IdConverter, RawPath

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def create_shop(settings: Settings) -> Shop:
    """Return the shop of these settings: store, cache, live state and model."""
    engine = database.connect(settings.sql_url, settings.database_timeout_ms / 1000)
    database.migrate(engine)
    url = None if settings.redis_url == "off" else settings.redis_url or None
    cache = Cache(url, settings.redis_timeout_ms / 1000, settings.cache_seconds)
    current = Current(Live(engine), settings.artifact_root, settings.poll_ms / 1000)
    return Shop(settings, engine, database.Writer(engine), cache, current, time.time)


def create_app(settings: Settings | None = None) -> Flask:
    """Return the service. Starts the thread that looks for new models and catalogues."""
    logs.configure()
    shop = create_shop(settings or Settings())
    app = Flask("recsvc", static_folder=None)
    app.extensions["recsvc"] = shop
    app.url_map.converters["id"] = IdConverter
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = True
    errors.install(app)
    app.before_request(_begin)
    app.after_request(_end)
    for route in ROUTES:
        rule = re.sub(r"\{(\w+)\}", r"<id:\1>", route.path)
        view = _guarded(route, functools.partial(health.key_is_live, shop))
        app.add_url_rule(
            rule, f"{route.method} {route.path}", view, methods=[route.method], provide_automatic_options=False
        )
    if shop.settings.pages:
        from recsvc.web import pages  # only then: the pages are for demonstrations

        pages.install(app)
    app.wsgi_app = RawPath(app.wsgi_app)  # type: ignore[method-assign]
    shop.current.start()
    return app


def _guarded(route: Route, key_is_live: Callable[[str], bool]) -> Callable[..., Response]:
    """Return the view behind the checks that every route has: the key, then the ids in the path."""

    def view(**ids: str) -> Response:
        if route.key:
            auth.require(key_is_live)
        for name, value in ids.items():
            try:
                identifier(value)
            except ValueError as error:
                raise InvalidRequest(f"{name}: {error}", {name: str(error)}) from None
        found = route.view(**ids)
        assert isinstance(found, Response)
        return found

    return view


def _begin() -> None:
    g.started = time.perf_counter()
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else new_id()
    if "recsvc.refused" in request.environ:
        raise InvalidRequest(request.environ["recsvc.refused"])


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "")
    response.headers["X-Content-Type-Options"] = "nosniff"
    route = request.url_rule.rule if request.url_rule else "unknown"
    metrics.REQUESTS.labels(route, str(response.status_code)).inc()
    metrics.SECONDS.labels(route).observe(time.perf_counter() - g.get("started", time.perf_counter()))
    return response
