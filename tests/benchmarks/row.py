"""A row of the table that `make bench` prints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A case: what was reached, beside what, in which unit, and the least that their ratio shall be."""

    case: str
    unit: str
    reached: float
    beside: float
    goal: float | None
    note: str = ""

    @property
    def ratio(self) -> float:
        """reached / beside."""
        return self.reached / self.beside
