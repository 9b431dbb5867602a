"""Sales as of now: the model's counts, and what came since the newest interaction that it has seen.

Counted once a minute, in the thread that looks for newer models, so no answer waits for it. What cannot be counted
because the database is away stays as it was.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from recsvc.engine import popular
from recsvc.engine.model import Model
from recsvc.engine.popular import Sales
from recsvc.store import sales

_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Counted:
    version: str
    revision: int
    sales: Sales


class Lately:
    """Holds the newest counts."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._next = 0.0
        self._counted: _Counted | None = None

    def of(self, model: Model) -> Sales:
        """Return the sales of a model's items, with what came since where that was counted."""
        found = self._of(model)
        return found.sales if found is not None else popular.sales_of(model)

    def revision(self, model: Model) -> int:
        """Return the newest interaction that is counted, which names the counts; 0 where only the model's are."""
        found = self._of(model)
        return found.revision if found is not None else 0

    def due(self, model: Model | None) -> bool:
        """Whether it is time to count again: a minute later, or for another model."""
        return model is not None and (time.monotonic() >= self._next or self._of(model) is None)

    def count(self, model: Model, since: int) -> None:
        """Count what came after the revision `since`."""
        with self._lock:
            self._next = time.monotonic() + _SECONDS
            try:
                revision, rows = sales.since(self._engine, since)
            except sa.exc.SQLAlchemyError:
                return
            known = [(model.rows[item_id], day, orders) for item_id, day, orders in rows if item_id in model.rows]
            kept = self._of(model)
            if kept is None or kept.revision != revision:
                fresh = np.array(known, np.int64).reshape(-1, 3).T
                whole = popular.added(popular.sales_of(model), fresh[0], fresh[1], fresh[2])
                self._counted = _Counted(model.version, revision, whole)

    def _of(self, model: Model) -> _Counted | None:
        found = self._counted
        return found if found is not None and found.version == model.version else None
