"""What a run learns from: interactions of the configured source, and the catalogue of the store."""

from __future__ import annotations

from dataclasses import dataclass, replace

import sqlalchemy as sa

from recsvc.errors import InvalidRequest
from recsvc.store import interactions, live
from training import extras, reading
from training.config import Config
from training.progress import Progress
from training.sources import Log, with_catalogue


@dataclass(frozen=True, slots=True)
class Given:
    """What a run learns from. category: item_id → its widest category. up_to: the newest revision read."""

    log: Log
    catalogue: live.Catalogue
    category: dict[str, str]
    up_to: int


def read(engine: sa.Engine, config: Config, progress: Progress) -> Given:
    """Return the shop's interactions and catalogue as they are now.

    Raises:
        InvalidRequest: there is nothing to learn from, or it cannot be read; says what is missing or wrong.
    """
    up_to = interactions.newest_revision(engine)
    progress.step("reading interactions", up_to if config.source.origin == "store" else None)
    log = reading.log_of(engine, config, up_to, progress.at)
    check(log)
    catalogue = live.load_catalogue(engine, 0)
    log = with_catalogue(log, catalogue.items.values(), config.catalogue.new_days)
    log = replace(log, extras=extras.read(engine, config, log.item_ids, log.customer_ids))
    category = {one.item_id: one.categories[0] for one in catalogue.items.values() if one.categories}
    return Given(log, catalogue, category, up_to)


def check(log: Log) -> None:
    """Look whether there is anything to learn from.

    Raises:
        InvalidRequest: there is not; says what is missing.
    """
    if not len(log):
        raise InvalidRequest("nothing to learn from: there is no interaction that names an item")
    if not log.events.purchases.any():
        raise InvalidRequest("nothing to learn from: there is no purchase")
    if not (log.customers >= 0).any():
        raise InvalidRequest("nothing to learn from: no interaction names a customer")
    if not (log.events.weights > 0).any():
        raise InvalidRequest("nothing to learn from: no interaction weighs more than 0; look at `weights`")
