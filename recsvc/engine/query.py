"""What a list is asked, in the rows of one model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from recsvc.artifact import Array
from recsvc.engine.rules import Plan

# How many candidates are made where anything but their score counts, and how many will do where they are at hand.
# Never as many as the page needs: else page 2 would not go on where page 1 ended.
POOL: Final = 200
ENOUGH: Final = 50
NO_ROWS: Final = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Query:
    """One question.

    limit, offset: the slots asked for are offset + 1 to offset + limit.
    without: (x,) item rows to leave out. among: (n,) bool, the items asked for; None for all.
    min_relevance: 0 to 1; see `arrange.relevance`. diversity: 0 to 1; 0 leaves the order as it is.
    caps: (trait, how many) at most of each brand or category; `parent`, 1 is one slot for all variants.
    explore: 0 to 1, the share of slots that is filled by chance.
    penalty: (n,) float32 in [0, 1], the part of an item's relevance that is taken away; None for nothing.
    plan: what the rules of the placement make of it; what it allows is in `among`.
    """

    limit: int
    offset: int = 0
    without: Array = field(default_factory=lambda: NO_ROWS)
    among: Array | None = None
    min_relevance: float = 0.0
    diversity: float = 0.0
    caps: tuple[tuple[str, int], ...] = ()
    explore: float = 0.0
    penalty: Array | None = None
    plan: Plan = field(default_factory=Plan)

    @property
    def last(self) -> int:
        """The last slot asked for."""
        return self.offset + self.limit

    @property
    def plain(self) -> bool:
        """Whether the slots are simply the best items in order."""
        moved = self.caps or self.diversity or self.min_relevance or self.explore or self.plan.reorders
        return not moved and self.penalty is None

    @property
    def depth(self) -> int:
        """How many candidates are made to answer."""
        return self.last if self.plain else max(POOL, self.last)

    @property
    def enough(self) -> int:
        """How many candidates will do where they are at hand."""
        return self.last if self.plain else max(ENOUGH, self.last)
