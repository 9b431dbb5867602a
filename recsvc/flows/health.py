"""Health: what is there and what is away."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from recsvc.flows.shop import Shop
from recsvc.store.database import reading


def ready(shop: Shop) -> dict[str, Any]:
    """Return the state of each part. `status` is `ready`, or `degraded` when lists lack something; a worker in
    either state answers. It is `starting` while nothing is known that an answer could be made from."""
    snapshot = shop.current.snapshot
    database = "away" if snapshot.state.copied else _database(shop)
    redis = ("ok" if shop.cache.ping() else "away") if shop.cache.configured else "off"
    model = snapshot.model
    whole = database == "ok" and redis != "away" and model is not None
    known = snapshot.state.known and (model is not None or database == "ok")
    return {
        "status": "ready" if whole else "degraded" if known else "starting", "database": database, "redis": redis,
        "model": model.version if model else None,
    }  # fmt: skip


def _database(shop: Shop) -> str:
    try:
        with reading(shop.engine) as connection:
            connection.execute(sa.text("SELECT 1"))
    except sa.exc.SQLAlchemyError:
        return "away"
    return "ok"
