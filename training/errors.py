"""What can end a run besides bad input, of the family of `recsvc.errors`; the command line has an exit code for each.

RecsvcError
├── Refused   the gate refuses to publish; the message names each cause and its number   exit 3
└── Busy      another run holds the lock of these artifacts                              exit 4
"""

from __future__ import annotations

from recsvc.errors import RecsvcError


class Refused(RecsvcError):
    """The gate refuses to publish."""


class Busy(RecsvcError):
    """Another run holds the lock of these artifacts."""
