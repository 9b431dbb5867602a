"""Health: what is there and what is away."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from recsvc.flows.shop import Shop
from recsvc.store.database import reading


def ready(shop: Shop) -> dict[str, Any]:
    """Return the state of each part. `status` is `ready`, or `degraded` when lists lack something; a worker in
    either state answers."""
    try:
        with reading(shop.engine) as connection:
            connection.execute(sa.text("SELECT 1"))
        database = "ok"
    except sa.exc.SQLAlchemyError:
        database = "away"
    redis = ("ok" if shop.cache.ping() else "away") if shop.cache.configured else "off"
    model = shop.current.snapshot.model
    whole = database == "ok" and redis != "away" and model is not None
    return {
        "status": "ready" if whole else "degraded", "database": database, "redis": redis,
        "model": model.version if model else None,
    }  # fmt: skip
