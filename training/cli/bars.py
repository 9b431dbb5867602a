"""Progress bars with counts and remaining time, on standard error."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

console = Console(stderr=True)


class Bars:
    """Progress bars with counts and remaining time on standard error."""

    def __init__(self) -> None:
        self._bar = Bar(
            TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), console=console,
        )  # fmt: skip
        self._task: TaskID | None = None

    def __enter__(self) -> Bars:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()
        self._bar.stop()

    def step(self, name: str, total: int | None = None) -> None:
        """Begin a part of the run; the one before is done."""
        self._finish()
        self._task = self._bar.add_task(name, total=total)

    def at(self, done: int) -> None:
        """Say how much of the part is done."""
        if self._task is not None:
            self._bar.update(self._task, completed=done)

    def clear(self) -> None:
        """Take the bars of what is done off the screen: a job of many runs would fill it."""
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        self._task = None

    def _finish(self) -> None:
        if self._task is None:
            return
        task = next(one for one in self._bar.tasks if one.id == self._task)
        total = task.total if task.total is not None else 1
        self._bar.update(self._task, total=total, completed=total)
