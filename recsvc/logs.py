"""Logs: one JSON object a line on standard error. No ids of customers or items, no keys, no paths, no query strings.

What a library says of an exception often holds the values it failed on (a statement's parameters, a header), so of an
exception only its type and the places in the code are logged; of gunicorn's warnings only what is known to hold none.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import traceback
from pathlib import Path
from typing import Any, Final

import structlog

_FRAMES: Final = 30
# Gunicorn puts the request line and the address into these two; the words before the values are enough.
_WITH_VALUES: Final = re.compile(r"^(Invalid request|Error handling request)\b.*", re.DOTALL)


def configure() -> None:
    """Set the format of all logs of this process."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _exception,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=_Lines,
    )


class _Lines:
    """Writes lines to standard error as it is now. A log that cannot be written must not break what is logged."""

    def __init__(self, *_arguments: Any) -> None:
        pass

    def msg(self, line: str) -> None:
        """Write one line, in one call, so that the lines of threads stay whole."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = exception = msg


class Gunicorn(logging.Handler):
    """Writes gunicorn's own records in the same format."""

    def __init__(self) -> None:
        super().__init__()
        configure()  # the master process has no app that would

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. Its exception, when there is one, without its message."""
        log = structlog.get_logger("gunicorn")
        level = "error" if record.levelno >= logging.ERROR else "warning" if record.levelno > logging.INFO else "info"
        event = _WITH_VALUES.sub(r"\1", record.getMessage())
        getattr(log, level)(event, **({"exc_info": record.exc_info} if record.exc_info else {}))


def _exception(_logger: Any, _method: str, event: Any) -> Any:
    """Replace `exc_info` by the exception's type and its frames: file, line and function, no values."""
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else sys.exc_info()[1]
    if not given or error is None:
        return event
    chain: list[dict[str, Any]] = []
    seen: BaseException | None = error
    while seen is not None and len(chain) < 5:
        frames = traceback.extract_tb(seen.__traceback__)[-_FRAMES:]
        where = [f"{_short(one.filename)}:{one.lineno} {one.name}" for one in frames]
        chain.append({"type": type(seen).__name__, "frames": where})
        seen = seen.__cause__ or seen.__context__
    event["exception"] = chain
    return event


def _short(name: str) -> str:
    """Return the last three parts of a file's path."""
    return "/".join(Path(name).parts[-3:])
