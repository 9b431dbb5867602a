"""Following the pointer of a remote store, in a thread apart: however long that takes, serving does not wait for it."""

from __future__ import annotations

import fcntl
import threading
import time
from contextlib import suppress

import structlog

from recsvc import metrics
from recsvc.errors import ArtifactInvalid, Unavailable
from recsvc.flows.shop import Shop

log = structlog.get_logger("recsvc.mirror")

_LOOK_SECONDS = 1.0
_REST_SECONDS = 60.0


def start(shop: Shop) -> None:
    """Follow the remote from now on, when there is one, until `shop.current` is stopped."""
    if shop.published.remote is not None:
        threading.Thread(target=_watch, args=(shop,), name="mirror", daemon=True).start()


def _watch(shop: Shop) -> None:
    """Be the one process of this host that asks, or wait for that one to end."""
    shop.published.root.mkdir(parents=True, exist_ok=True)
    with (shop.published.root / ".mirror.lock").open("a") as file:
        while not shop.current.ended(_LOOK_SECONDS):
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
        away, rests_until = False, 0.0
        while not shop.current.ended(_LOOK_SECONDS):
            if time.monotonic() < rests_until:
                continue
            try:
                version = shop.published.follow()
                if version:
                    log.info("model pulled", version=version)
                    metrics.PULLS.labels("pulled").inc()
                away = False
            except ArtifactInvalid as error:
                metrics.PULLS.labels("refused").inc()
                shop.current.refuse("remote", error)
                rests_until = time.monotonic() + _REST_SECONDS
            except (Unavailable, OSError) as error:
                metrics.PULLS.labels("away").inc()
                if not away:
                    log.warning("remote store of models away, keeping what is here", why=str(error))
                away = True
            except Exception:  # the thread must outlive whatever one look runs into
                log.exception("the remote store of models could not be followed")
