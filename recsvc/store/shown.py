"""What each customer was shown lately on a channel, for lists that rotate. In Redis; without it in this process.

It is kept apart from the exposures, which nothing asks while it answers, and may be lost: then a list comes again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

from recsvc.store.cache import REMEMBERED

_MOST_KEYS = 2000


class Remember(Protocol):
    """Keeps when items were shown; False when Redis did not take it."""

    def __call__(self, key: str, items: Sequence[str], at: float, seconds: int) -> bool: ...


class Shown:
    """A sorted set of item ids by moment for each key: at most 200, and of keys in this process at most 2,000.

    recall: returns what Redis has under a key since a moment, or None. remember: see above.
    """

    def __init__(self, recall: Callable[[str, float], dict[str, float] | None], remember: Remember) -> None:
        self._recall, self._remember = recall, remember
        self._own: OrderedDict[str, dict[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    def since(self, key: str, moment: float) -> dict[str, float]:
        """Return item id → when it was last shown, for those shown at or after `moment` (epoch seconds)."""
        found = self._recall(key, moment) or {}
        with self._lock:
            own = list(self._own.get(key, {}).items())
        for item_id, at in own:
            if at >= moment:
                found[item_id] = max(at, found.get(item_id, at))
        return found

    def add(self, key: str, items: Sequence[str], at: float, seconds: int) -> None:
        """Remember that items were shown at `at`, for at least `seconds`.

        Told to Redis before the reply goes out: the same customer may come back to another process at once.
        """
        if not items or self._remember(key, items, at, seconds):
            return
        with self._lock:
            known = self._own.setdefault(key, {})
            self._own.move_to_end(key)
            for item_id in items:
                known.pop(item_id, None)
                known[item_id] = at
            for item_id in list(known)[: max(0, len(known) - REMEMBERED)]:
                del known[item_id]
            if len(self._own) > _MOST_KEYS:
                self._own.popitem(last=False)
