"""Access: which key asks, whether it may, and how often it did.

The day a key was last used is written by a thread of each worker, at most once an hour, never within a request.
"""

from __future__ import annotations

import threading

import structlog

from recsvc import metrics
from recsvc.errors import Forbidden, TooMany, Unauthorized, Unavailable
from recsvc.flows.shop import Shop
from recsvc.store import keys

log = structlog.get_logger("recsvc.access")

_LOOK_SECONDS = 5.0
_WRITE_SECONDS = 3600.0


def admit(shop: Shop, given: str, scope: str) -> str:
    """Return the id of the key that was given, when it is live, has the scope, and its rate is not used up.

    Raises:
        Unavailable: nothing is known yet, so no key is.
        Unauthorized: not a live key.
        TooMany: its rate is used up.
        Forbidden: it lacks the scope.
    """
    now, state = shop.clock(), shop.current.snapshot.state
    if not state.known:
        raise Unavailable("the database has not answered since this worker started, and Redis has no copy; try again")
    key = keys.find(state.keys, state.admin, given, now)
    if key is None:
        raise Unauthorized("X-API-Key: not a live key")
    shop.used[key.key_id] = now
    rate = key.per_second or shop.settings.rate_per_second
    wait = shop.limiter.wait(key.key_id, rate) if rate else 0.0
    if wait > 0:
        metrics.LIMITED.inc()
        raise TooMany(f"X-API-Key: over {rate} requests a second; send it again after the time in Retry-After", wait)
    if scope not in key.grants:
        raise Forbidden(f"X-API-Key: the key has {', '.join(key.scopes) or 'no scope'}; this needs {scope}")
    return key.key_id


def start(shop: Shop) -> None:
    """Write when keys were last used from now on, in a thread of this process, until `shop.current` is stopped."""
    threading.Thread(target=_watch, args=(shop,), name="access", daemon=True).start()


def write_use(shop: Shop, written: dict[str, float]) -> None:
    """Write the day of last use of the keys used on another day than the one in `written`, and remember it there."""
    new = {key_id: at // 86400 for key_id, at in shop.used.copy().items() if written.get(key_id) != at // 86400}
    if not new:
        return
    latest = max(new.values()) * 86400
    try:
        shop.write(lambda connection: keys.note_use(connection, list(new), latest))
    except Unavailable:
        log.warning("last use of keys not written; it is tried again")
        return
    written |= new


def _watch(shop: Shop) -> None:
    written: dict[str, float] = {}
    next_at = 0.0
    while not shop.current.ended(_LOOK_SECONDS):
        now = shop.clock()
        # Early only when a key is used for the first time, so that it soon no longer counts as never used.
        if now >= next_at or not shop.used.keys() <= written.keys():
            write_use(shop, written)
            next_at = now + _WRITE_SECONDS
