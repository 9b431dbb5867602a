"""Where the bytes of a file come from: a path or a pipe, plain, gzip or zstd, with its beginning to look at."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from recsvc.errors import InvalidRequest

PIPE: Final = Path("-")
HEAD: Final = 1 << 20
_COMPRESSION: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


class Source(io.RawIOBase):
    """A stream whose beginning was looked at, and how many bytes of the file below were read."""

    def __init__(self, raw: Any) -> None:
        self._raw, self.done = _Counted(raw), 0
        magic = self._raw.peek(4)
        kind = next((kind for mark, kind in _COMPRESSION.items() if magic.startswith(mark)), None)
        self._inner: Any = pa.CompressedInputStream(pa.PythonFile(self._raw, "r"), kind) if kind else self._raw
        self.compressed, self.start, self._at = kind is not None, b"", 0
        while len(self.start) < HEAD and (more := self._inner.read(HEAD - len(self.start))):
            self.start += more
        self._rest = self.start

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; 0 at the end."""
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        taken = taken or self._inner.read(len(buffer))
        buffer[: len(taken)] = taken
        self.done = self._raw.count
        return len(taken)


class _Counted(io.BufferedReader):
    """A buffered reader that counts what was read."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read and count."""
        found = super().read(size)
        self.count += len(found)
        return found


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Yield the stream of a file or of the pipe, decompressed.

    Raises:
        InvalidRequest: cannot be read.
    """
    try:
        raw = sys.stdin.buffer if path == PIPE else path.open("rb")
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}") from None
    try:
        yield Source(raw)
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidRequest(f"{path}: cannot be read: {error}") from None
    finally:
        if path != PIPE:
            raw.close()
