"""Progress: how a long part of the job says where it is, to whoever draws the bars."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """`step` begins a part of `total` units, or of unknown length; `at` says how many are done."""

    def step(self, name: str, total: int | None = None) -> None:
        """Begin a part of the run; the one before is done."""

    def at(self, done: int) -> None:
        """Say how much of the part is done."""
