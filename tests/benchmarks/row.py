"""A row of the table that `make bench` prints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A case: what was reached, beside what, in which unit, and the goal.

    goal: the least that the ratio of both shall be. most: what `reached` shall not be above. Neither: it is only told.
    """

    case: str
    unit: str
    reached: float
    beside: float | None
    goal: float | None
    note: str = ""
    most: float | None = None

    @property
    def ratio(self) -> float | None:
        """reached / beside."""
        return None if self.beside is None else self.reached / self.beside

    @property
    def met(self) -> bool | None:
        """Whether the goal was reached; None where there is none."""
        if self.most is not None:
            return self.reached <= self.most
        return None if self.goal is None or self.ratio is None else self.ratio >= self.goal
