"""create_app: the one place where every part is built and joined."""

from __future__ import annotations

import os

# One request is one thread; BLAS threads beside them would make each wait for the others. Before numpy loads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import functools
import re
import time
from collections.abc import Callable

from flask import Flask, Response

from recsvc import logs
from recsvc.errors import InvalidRequest
from recsvc.flows import access, announce, answers, claims, copies, exposures, lists, mirror
from recsvc.flows.current import Current
from recsvc.flows.pending import Pending
from recsvc.flows.shop import Shop
from recsvc.intake import identifier
from recsvc.settings import Settings, load
from recsvc.store import database, published
from recsvc.store.cache import Cache
from recsvc.store.copies import Copy
from recsvc.store.exposures import Spool
from recsvc.store.keyfile import KeyFile
from recsvc.store.limits import Limiter
from recsvc.store.live import Live
from recsvc.store.shown import Shown
from recsvc.web import auth, errors, hot, requests
from recsvc.web.contract import TOKENS, Route
from recsvc.web.openapi import ROUTES
from recsvc.web.paths import IdConverter, RawPath


def create_shop(settings: Settings) -> Shop:
    """Return the shop of these settings: store, cache, live state and model."""
    engine = database.connect(settings.sql_url, settings.database_timeout_ms / 1000)
    url = None if settings.redis_url == "off" else settings.redis_url or None
    cache = Cache(url, settings.redis_timeout_ms / 1000, settings.cache_seconds)
    copy = Copy(url, settings.sql_url)
    models = published.opened(settings)
    live = Live(engine, KeyFile(settings.admin_key_file), copy.read)
    current = Current(engine, live, models.root, settings.poll_ms / 1000)
    writer = database.Writer(engine, max(1, settings.threads - 2))
    limiter = Limiter(cache.lease, time.monotonic)
    spool = Spool(settings.exposures_folder, settings.exposures_days, functools.partial(exposures.lists_in, current))
    shown = Shown(cache.recall, cache.remember)
    return Shop(settings, engine, writer, cache, current, limiter, time.time, Pending(), copy, models, spool, shown)


def create_app(settings: Settings | None = None) -> Flask:
    """Return the service. Starts the threads that look for new models and catalogues, and keep a copy of them."""
    logs.configure()
    shop = create_shop(settings or load())
    app = Flask("recsvc", static_folder=None)
    app.extensions["recsvc"] = shop
    app.url_map.converters["id"] = IdConverter
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = True
    errors.install(app)
    requests.install(app, shop.settings.log_sample)
    for route in ROUTES:
        rule = re.sub(r"\{(\w+)\}", r"<id:\1>", route.path)
        view = _guarded(route, functools.partial(access.admit, shop))
        app.add_url_rule(
            rule, f"{route.method} {route.path}", view, methods=[route.method], provide_automatic_options=False
        )
    if shop.settings.pages:
        from recsvc.web import pages  # only then: the pages are for demonstrations

        pages.install(app)
    app.wsgi_app = _layers(shop, app.wsgi_app)  # type: ignore[method-assign]
    shop.current.start(lambda: announce.distrust(shop))
    access.start(shop)
    claims.start(shop)
    copies.start(shop)
    mirror.start(shop)
    return app


def _layers(shop: Shop, app: hot.App) -> hot.App:
    """Return the app behind what answers before Flask: customers' lists, and ids exactly as sent."""
    parts = hot.Parts(
        functools.partial(access.admit, shop), functools.partial(lists.recommendations, shop),
        functools.partial(exposures.expose, shop), functools.partial(answers.epoch, shop), shop.settings.log_sample,
    )  # fmt: skip
    return hot.Hot(RawPath(app), parts)


def _guarded(route: Route, admit: auth.Admit) -> Callable[..., Response]:
    """Return the view behind the checks that every route has: the key and its scope, then the ids in the path."""

    def view(**ids: str) -> Response:
        if route.scope is not None:
            auth.require(admit, route.scope)
        for name, value in ids.items():
            if name in TOKENS:
                continue
            try:
                identifier(value)
            except ValueError as error:
                raise InvalidRequest(f"{name}: {error}", {name: str(error)}) from None
        found = route.view(**ids)
        assert isinstance(found, Response)
        return found

    return view
