"""Logs: one JSON object a line on standard error. No ids of customers, no keys, no query strings."""

from __future__ import annotations

import sys

import structlog


def configure() -> None:
    """Set the format of all logs of this process."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # locals hold customers
            ),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
