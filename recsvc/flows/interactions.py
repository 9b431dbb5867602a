"""Interactions: append, acknowledged only after the commit, then tell Redis, so that the next list has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog

from recsvc import metrics
from recsvc.errors import Unavailable
from recsvc.flows.customers import cache_prefix
from recsvc.flows.shop import Shop
from recsvc.intake import derived_id, digest
from recsvc.store import facts, interactions
from recsvc.store.database import MICROSECONDS

log = structlog.get_logger("recsvc.interactions")
# Fields that no query asks for are kept together.
_DETAILS = ("subject", "ref", "recommendation_id", "slot", "campaign_id", "send_id", "properties")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of it: one of the two is 1."""

    accepted: int
    duplicates: int


def record(shop: Shop, interaction: dict[str, Any]) -> Receipt:
    """Store one checked interaction, once however often it is sent, and return after the commit.

    Args:
        interaction: fields of the API's object that were given; `occurred_at` an aware datetime.

    Raises:
        Unavailable: nothing was kept.
    """
    row = _row(interaction)
    revision = shop.writer.submit(lambda connection: interactions.append(connection, row))
    if revision is None:
        metrics.INTERACTIONS.labels("duplicate").inc()
        return Receipt(0, 1)
    metrics.INTERACTIONS.labels("accepted").inc()
    _announce(shop, row["customer_id"], revision)
    return Receipt(1, 0)


def _announce(shop: Shop, customer_id: str, revision: int) -> None:
    """Let every worker know. When Redis does not take it, nothing cached so far is trusted any more."""
    prefix = cache_prefix(shop.current.snapshot.state.facts, customer_id)
    if shop.cache.advance(prefix, revision):
        return
    try:
        shop.writer.submit(lambda connection: facts.advance(connection, "cache_epoch"))
    except (Unavailable, sa.exc.SQLAlchemyError):
        log.warning("cache epoch not advanced; lists may lag until their time to live ends")
    shop.current.refresh(shop.clock())


def _row(interaction: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in interaction.items() if value is not None}
    interaction_id = given.pop("interaction_id", None) or derived_id(given, 0)
    details = {name: given[name] for name in _DETAILS if name in given}
    row: dict[str, Any] = {name: given.get(name) for name in interactions.COLUMNS}
    row |= {
        "digest": digest(interaction_id), "details": details or None,
        "occurred_at": round(given["occurred_at"].timestamp() * MICROSECONDS),
    }  # fmt: skip
    return row
