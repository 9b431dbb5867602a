"""Keeping a copy of the live state in Redis, by a thread of each worker, so that one can start without the database."""

from __future__ import annotations

import threading

import redis
import structlog

from recsvc.flows.shop import Shop

log = structlog.get_logger("recsvc.copies")

_LOOK_SECONDS = 1.0


def start(shop: Shop) -> None:
    """Keep the copy from now on, in a thread of this process, until `shop.current` is stopped."""
    threading.Thread(target=_watch, args=(shop,), name="copies", daemon=True).start()


def _watch(shop: Shop) -> None:
    away = False
    while not shop.current.ended(_LOOK_SECONDS):
        try:
            shop.copy.keep(shop.current.snapshot.state)
            away = False
        except (redis.RedisError, OSError):
            if not away:
                log.warning("Redis away, no copy of the live state is kept")
            away = True
        except Exception:  # the thread must outlive whatever one copy runs into
            log.exception("the live state was not copied")
    shop.copy.close()
