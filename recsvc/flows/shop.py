"""The shop: everything one request needs, built once by `app.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa

from recsvc.flows.current import Current
from recsvc.flows.pending import Pending
from recsvc.settings import Settings
from recsvc.store.cache import Cache
from recsvc.store.database import Writer
from recsvc.store.limits import Limiter


@dataclass(frozen=True, slots=True)
class Shop:
    """Settings, store, live state and model. `clock` gives epoch seconds. used: key id → when it last was."""

    settings: Settings
    engine: sa.Engine
    writer: Writer
    cache: Cache
    current: Current
    limiter: Limiter
    clock: Callable[[], float]
    pending: Pending
    used: dict[str, float] = field(default_factory=dict)
