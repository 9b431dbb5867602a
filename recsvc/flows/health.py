"""Health: what is there and what is away."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from recsvc.flows.shop import Shop
from recsvc.store.database import reading

# Names, for the workers, the file that `recsvc serve` makes when it is going to end. No setting: each run has its own,
# so that two services over one home, as in an upgrade, do not end each other.
ENDING: Final = "RECSVC_ENDING_FILE"


def ready(shop: Shop) -> dict[str, Any]:
    """Return the state of each part. `status` is `ready`, or `degraded` when lists lack something; a worker in
    either state answers. It is `starting` while nothing is known that an answer could be made from, and `draining`
    while everything is still answered but the service is about to end: send no more."""
    snapshot = shop.current.snapshot
    database = "away" if snapshot.state.copied else _database(shop)
    redis = ("ok" if shop.cache.ping() else "away") if shop.cache.configured else "off"
    model = snapshot.model
    whole = database == "ok" and redis != "away" and model is not None
    known = snapshot.state.known and (model is not None or database == "ok")
    status = "draining" if _ends() else "ready" if whole else "degraded" if known else "starting"
    return {
        "status": status, "database": database, "redis": redis,
        "model": model.version if model else None,
    }  # fmt: skip


def _ends() -> bool:
    mark = os.environ.get(ENDING)
    return mark is not None and Path(mark).exists()


def _database(shop: Shop) -> str:
    try:
        with reading(shop.engine) as connection:
            connection.execute(sa.text("SELECT 1"))
    except sa.exc.SQLAlchemyError:
        return "away"
    return "ok"
