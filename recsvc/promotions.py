"""The record of what was made current and when: `promotions` in the artifact root, one line each, only added to.

A line is written before the pointer is replaced. When a kill falls between the two, its last line names a version
that was never in use; the pointer tells so, and that line does not count.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

FILE: Final = "promotions"
PROMOTED: Final = "promoted"
ROLLED_BACK: Final = "rolled-back"
_LINE: Final = re.compile(rf"(\S+) (\d{{8}}T\d{{6}}Z-[0-9a-f]{{4}}) ({PROMOTED}|{ROLLED_BACK})")


def addition(record: str, in_use: str | None, version: str, how: str, now: datetime) -> str:
    """Return what is to be added to the record when `version` is to replace `in_use`.

    Args:
        record: the file so far, as `steps` takes it.
        in_use: what the pointer names now, None when nothing.
        how: PROMOTED or ROLLED_BACK.
    """
    lines = "" if not record or record.endswith("\n") else "\n"  # after a line that a kill cut short
    at = f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    before, trail = _trails(record)
    if in_use and trail[-1:] != [in_use]:
        # The last line never came true, or the pointer was written by hand: say what was in use before this.
        lines += f"{at} {in_use} {ROLLED_BACK if before[-1:] == [in_use] else PROMOTED}\n"
    return f"{lines}{at} {version} {how}\n"


def steps(record: str, in_use: str | None) -> list[str]:
    """Return the versions that going back leads through, the oldest first; the last is `in_use`.

    A version that was gone back from is not among them, so going back twice leads two versions back.

    Args:
        record: the content of the file; lines that are none are passed over.
        in_use: what the pointer names.
    """
    before, trail = _trails(record)
    if in_use is None or trail[-1:] == [in_use]:
        return trail
    return before if before[-1:] == [in_use] else [*trail, in_use]


def _trails(record: str) -> tuple[list[str], list[str]]:
    """Return the steps without the last line, and with it."""
    before: list[str] = []
    trail: list[str] = []
    for line in record.splitlines():
        found = _LINE.fullmatch(line)
        if found is not None:
            before, trail = trail, _taken(trail, found[2], found[3])
    return before, trail


def _taken(trail: list[str], version: str, how: str) -> list[str]:
    if how == ROLLED_BACK and version in trail:
        return trail[: len(trail) - trail[::-1].index(version)]
    return trail if trail and trail[-1] == version else [*trail, version]
