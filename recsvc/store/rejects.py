"""The rejects of an import: one JSON line for each row that was refused, with what was wrong and the row itself.

A file that was repaired from it can be imported again: what was taken before is not doubled.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from recsvc.errors import InvalidRequest
from recsvc.store.files import REJECTS
from recsvc.store.streams import PIPE


class Rejects:
    """Writes the rejects of one file. The file is made at the first one; an older one of that name goes."""

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 0
        self._file: Any = None
        path.unlink(missing_ok=True)

    def add(self, file: Path, row: int, column: str | None, value: str | None, reason: str, line: Any) -> None:
        """Write one row. It holds what the shop wrote, customers included, so only its owner may read it."""
        if self._file is None:
            try:
                handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            except OSError as error:
                raise InvalidRequest(f"{self.path}: {error.strerror}; choose another with --rejects") from None
            self._file = os.fdopen(handle, "w", encoding="utf-8")
        entry = {"file": str(file), "row": row, "column": column, "value": value, "reason": reason, "line": line}
        self._file.write(json.dumps(entry, ensure_ascii=False, default=str) + "\n")
        self.count += 1

    def close(self) -> None:
        """Finish the file, if there is one."""
        if self._file is not None:
            self._file.close()


def beside(path: Path, noun: str) -> Path:
    """Return where the rejects of a file go: beside it, or in the working folder when that is not possible."""
    if path != PIPE and os.access(path.parent, os.W_OK):
        return path.with_name(f"{path.name}.{noun}{REJECTS}")
    return Path(f"{'pipe' if path == PIPE else path.name}.{noun}{REJECTS}")
