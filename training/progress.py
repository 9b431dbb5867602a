"""How a long job tells where it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """`step` begins a part of `total` units; `at` says how many are done."""

    def step(self, name: str, total: int | None = None) -> None:
        """Begin a part of the run."""

    def at(self, done: int) -> None:
        """Say how much of the part is done."""
