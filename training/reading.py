"""Reading: the history that training learns from, from wherever `source` in the configuration says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from recsvc.store import interactions, live
from training.config import Config
from training.progress import Progress
from training.sources import Log, from_store, with_catalogue


@dataclass(frozen=True, slots=True)
class History:
    """A log with what the catalogue says of its items, and the newest revision of the store when it was read."""

    log: Log
    up_to: int


def history(engine: sa.Engine, config: Config, progress: Progress) -> History:
    """Return the whole history of a shop."""
    up_to = interactions.newest_revision(engine)
    progress.step("reading interactions", up_to)
    log = log_of(engine, config, up_to, progress.at)
    catalogue = live.load_catalogue(engine, 0)
    return History(with_catalogue(log, catalogue.items.values(), config.catalogue.new_days), up_to)


def log_of(engine: sa.Engine, config: Config, up_to: int, progress: Callable[[int], None]) -> Log:
    """Return the interactions of the configured source; of the store up to a revision."""
    return from_store(engine, config.weights, up_to, progress)
