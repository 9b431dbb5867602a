"""The end of `recsvc serve`: whoever sends requests hears of it before gunicorn does.

gunicorn stops accepting the moment it is told to end, and a load balancer that has not looked yet would meet a closed
port. So SIGTERM first makes /readyz answer 503, through a file that every worker looks for, and everything is answered
as ever for `RECSVC_DRAIN_SECONDS`. Then gunicorn is told: it lets its workers finish what they have begun, for at most
its `graceful_timeout`. SIGINT is a person at a keyboard, who is not made to wait.
"""

from __future__ import annotations

import math
import signal
import subprocess
import time
from pathlib import Path
from types import FrameType

import structlog

log = structlog.get_logger("recsvc.serve")


class Ending:
    """Hears the signals of this process and tells `server`, gunicorn, to end or to load anew.

    Args:
        mark: the file whose being there is the end's announcement.
        seconds: between the announcement and the end, 0 or more.
    """

    def __init__(self, server: subprocess.Popen[bytes], mark: Path, seconds: float) -> None:
        self._server = server
        self._mark = mark
        self._seconds = seconds
        self._ends_at: float | None = None
        self._said = False

    def install(self) -> None:
        """Hear SIGTERM, SIGINT and SIGHUP from now on."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._hear)

    @property
    def announced(self) -> bool:
        """Whether the end has begun."""
        return self._ends_at is not None

    def look(self) -> None:
        """Say once that the end has begun, and tell gunicorn when the wait is over."""
        if self._ends_at is None:
            return
        if not self._said:  # not in the signal handler: it may have interrupted a line of the log
            self._said = True
            log.info("ending", drain_seconds=self._seconds if self._ends_at < math.inf else 0)
        if time.monotonic() >= self._ends_at:
            self._server.terminate()
            self._ends_at = math.inf

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        """Announce the end at the first SIGTERM; end at once at a second one, and at SIGINT."""
        if number == signal.SIGHUP:
            self._server.send_signal(number)
            return
        self._mark.touch()
        if number == signal.SIGTERM and not self.announced and self._seconds:
            self._ends_at = time.monotonic() + self._seconds
        else:
            self._ends_at = math.inf
            self._server.terminate()
