"""The shop: everything one request needs, built once by `app.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from recsvc.errors import Unavailable
from recsvc.flows.current import Current
from recsvc.flows.flights import Flights
from recsvc.flows.pending import Pending
from recsvc.settings import Settings
from recsvc.store.cache import Cache
from recsvc.store.copies import Copy
from recsvc.store.database import Writer
from recsvc.store.exposures import Spool
from recsvc.store.limits import Limiter
from recsvc.store.memory import Memory
from recsvc.store.published import Published
from recsvc.store.shown import Shown


@dataclass(frozen=True, slots=True)
class Shop:
    """Settings, store, live state and model. `clock` gives epoch seconds. used: key id → when it last was.
    memory, flights: what this process answered just now, and what it is about to."""

    settings: Settings
    engine: sa.Engine
    writer: Writer
    cache: Cache
    current: Current
    limiter: Limiter
    clock: Callable[[], float]
    pending: Pending
    copy: Copy
    published: Published
    exposures: Spool
    shown: Shown
    used: dict[str, float] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    flights: Flights = field(default_factory=Flights)

    def write(self, work: Callable[[sa.Connection], Any]) -> Any:
        """Run `work` inside a shared write transaction and return its result once that is committed.

        Raises:
            Unavailable: as `Writer.submit`; at once while the database has not answered since the start.
        """
        if self.current.snapshot.state.copied:
            raise Unavailable("the database has not answered since this worker started; send it again")
        return self.writer.submit(work)
