"""Letting every worker know that a customer did something, also when Redis does not listen just now.

The revision goes to Redis after the commit. When Redis does not take it, this worker stops trusting the cache for
that customer at once and tries again for half a second; then the cache epoch is advanced in the database, and
nothing that was cached before is trusted by anybody. One slow answer of a busy Redis costs nobody their cache.
"""

from __future__ import annotations

import sqlalchemy as sa
import structlog

from recsvc.errors import Unavailable
from recsvc.flows.customers import cache_prefix
from recsvc.flows.shop import Shop
from recsvc.store import facts

log = structlog.get_logger("recsvc.announce")


def tell(shop: Shop, news: dict[str, int]) -> None:
    """Tell Redis the newest revisions of customers. Returns at once when Redis is away."""
    if not news:
        return
    secrets = shop.current.snapshot.state.facts
    revisions = {cache_prefix(secrets, customer): revision for customer, revision in news.items()}
    shop.memory.hear(revisions)
    if not shop.cache.advance_many(revisions):
        shop.pending.add(revisions, shop.cache.advance_many, lambda: distrust(shop))


def distrust(shop: Shop) -> None:
    """Let nothing that was cached so far be trusted by any worker.

    A worker that has only a copy of the live state uses nothing cached, and does this once the database answers.
    """
    try:
        shop.write(lambda connection: facts.advance(connection, "cache_epoch"))
    except (Unavailable, sa.exc.SQLAlchemyError):
        log.warning("cache epoch not advanced; lists may lag until their time to live ends")
    shop.current.refresh(shop.clock())
