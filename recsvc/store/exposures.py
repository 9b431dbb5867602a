"""Exposures: which list was returned to whom, when. An append-only spool of files beside the database.

Every process writes segments of its own, NDJSON lines in one folder, so that nobody waits for a lock. A `list` line
says what is in a list; a `shown` line says that it was returned, and many may name one list. A list's line stands in
the same segment before the first that names it, so each segment can be read alone, and whichever process made a list
or was killed after it, those that return it write it down themselves.

Replies wait in memory; one thread writes those of a tenth of a second by one call, so that is what a kill −9 loses.
A disk that is full, stuck or not there costs exposures, which are counted, never an answer. Lines are not synced: with
the power the last seconds go too.
"""

from __future__ import annotations

import atexit
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from recsvc import metrics

log = structlog.get_logger("recsvc.exposures")

_GATHER_SECONDS = 0.1
_WAITING_BYTES = 16 * 2**20
_SEGMENT_BYTES, _SEGMENT_SECONDS = 64 * 2**20, 3600.0
# The folder mostly lies on the database's disk, which has to be able to go on.
_KEEP_FREE_BYTES = 64 * 2**20
_PAUSE_SECONDS = 1.0
_CLOSE_SECONDS = 2.0
DAY = 86400.0


class ListLine(msgspec.Struct, frozen=True, tag="list", tag_field="line", omit_defaults=True):
    """What is in a list. slots: None for 1, 2, 3 …. propensities: None where all are 1."""

    recommendation_id: str
    placement: str
    version: str | None
    source: str
    fallback: str | None
    items: list[str]
    slots: list[int] | None = None
    propensities: list[float] | None = None


class ShownLine(msgspec.Struct, frozen=True, tag="shown", tag_field="line", omit_defaults=True):
    """That a list was returned. at: epoch seconds. customer: keyed hash, None for nobody in particular.
    cache: hit, miss or stale."""

    exposure_id: str
    recommendation_id: str
    at: float
    cache: str
    customer: str | None = None
    channel: str | None = None


class Exposure(NamedTuple):
    """One list that was returned once."""

    shown: ShownLine
    listed: ListLine


class Returned(NamedTuple):
    """A reply that went out, as it waits to be written. etag: names the bytes of `body`."""

    exposure_id: str
    at: float
    channel: str | None
    cache: str
    etag: str
    body: bytes


ListsIn = Callable[[bytes], list[tuple[ListLine, str | None]]]
"""Reads a body: the lists in it, each with its customer's hash."""


@dataclass
class _Segment:
    """An open file, how much of it is whole lines, and which lists it says: etag → (recommendation_id, customer)."""

    path: Path
    file: int
    begun: float
    size: int
    lists: dict[str, list[tuple[str, str | None]]]


class Spool:
    """Takes replies and writes them. `folder` None: takes them and forgets."""

    def __init__(self, folder: Path | None, days: int, lists_in: ListsIn, keep_free: int = _KEEP_FREE_BYTES) -> None:
        """Touch nothing yet: the folder is made when the first reply is written.

        Args:
            days: after which a segment nobody writes to is deleted.
            keep_free: bytes that must stay free on the disk.
        """
        self._folder, self._seconds, self._lists_in, self._keep_free = folder, days * DAY, lists_in, keep_free
        self._lock = threading.Lock()
        self._waiting: list[Returned] = []
        self._bytes = 0
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._segment: _Segment | None = None
        self._failed_at = -_PAUSE_SECONDS
        self._failing = False
        self._encoder = msgspec.json.Encoder()

    def put(self, returned: Returned) -> None:
        """Have a reply written soon. Never waits for the disk: what does not fit into memory meanwhile is dropped."""
        if self._folder is None:
            return
        with self._lock:
            fits = self._bytes < _WAITING_BYTES and not self._closing.is_set()
            if fits:
                self._waiting.append(returned)
                self._bytes += len(returned.body)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="exposures", daemon=True)
                self._thread.start()
                atexit.register(self.close)
        if not fits:
            self._drop(1, "they come faster than the disk takes them")
        elif not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Write what waits and end, in two seconds at most."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)
            atexit.unregister(self.close)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._closing.wait(_GATHER_SECONDS)
            self._wake.clear()
            self._flush()
        self._flush()
        self._end_segment()

    def _flush(self) -> None:
        with self._lock:
            batch, self._waiting, self._bytes = self._waiting, [], 0
        if not batch:
            return
        if time.monotonic() - self._failed_at < _PAUSE_SECONDS:
            self._drop(len(batch))
            return
        try:
            n = self._append(batch)
        except Exception as error:  # whatever it is, the next batch may go well
            self._failed_at = time.monotonic()
            self._end_segment()
            self._drop(len(batch), getattr(error, "strerror", None) or type(error).__name__)
            return
        if self._failing:
            self._failing = False
            log.info("exposures are written again")
        metrics.EXPOSURES.labels("written").inc(n)

    def _append(self, batch: list[Returned]) -> int:
        """Write a batch by one call and return how many exposures it had; of a batch that did not fit what was written
        is taken back.

        Raises:
            OSError: the disk does not take it.
        """
        segment = self._current()
        lines: list[ListLine | ShownLine] = []
        shown = 0
        for one in batch:
            known = segment.lists.get(one.etag)
            if known is None:
                found = self._read(one.body)
                known = segment.lists[one.etag] = [(line.recommendation_id, customer) for line, customer in found]
                lines += [line for line, _ in found]
            shown += len(known)
            lines += [
                ShownLine(one.exposure_id, name, round(one.at, 3), one.cache, customer, one.channel)
                for name, customer in known
            ]
        data = self._encoder.encode_lines(lines)
        if os.write(segment.file, data) < len(data):
            os.ftruncate(segment.file, segment.size)
            raise OSError(None, "no space left")
        segment.size += len(data)
        return shown

    def _read(self, body: bytes) -> list[tuple[ListLine, str | None]]:
        try:
            return self._lists_in(body)
        except Exception as error:  # the others of the batch are none the worse for it
            self._drop(1, type(error).__name__)
            return []

    def _current(self) -> _Segment:
        """Return the segment to write to: a new one when there is none, or the last is large or old enough."""
        assert self._folder is not None
        now, known = time.time(), self._segment
        if known is not None and (known.size >= _SEGMENT_BYTES or now - known.begun >= _SEGMENT_SECONDS):
            self._end_segment()
        if self._segment is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sweep(self._folder, now - self._seconds)
            name = f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}-{secrets.token_hex(4)}.ndjson"
            path = self._folder / name
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._segment = _Segment(path, file, now, 0, {})
        disk = os.fstatvfs(self._segment.file)
        if disk.f_bavail * disk.f_frsize < self._keep_free:
            raise OSError(None, f"under {self._keep_free >> 20} MiB are free")
        return self._segment

    def _end_segment(self) -> None:
        if self._segment is None:
            return
        with suppress(OSError):
            if not self._segment.size:
                self._segment.path.unlink()
            os.close(self._segment.file)
        self._segment = None

    def _drop(self, n: int, why: str = "") -> None:
        """Count what is lost; say so once until it goes well again."""
        metrics.EXPOSURES.labels("dropped").inc(n)
        if not self._failing and why:
            self._failing = True
            log.error("exposures are lost, answers go on", why=why)


def sweep(folder: Path, before: float) -> None:
    """Delete the segments last written to before that moment (epoch seconds)."""
    for path in folder.glob("*.ndjson"):
        with suppress(OSError):  # another process may be at the same
            if path.stat().st_mtime < before:
                path.unlink()


def read(folder: Path, since: float = 0.0) -> Iterator[Exposure]:
    """Yield the exposures at or after `since` (epoch seconds), segment by segment, in the order they were written.

    A last line that is not whole is left out: it is being written, or its writer was killed. So is what is no line.
    """
    decoder = msgspec.json.Decoder(ListLine | ShownLine)
    for path in sorted(folder.glob("*.ndjson")):
        try:
            if path.stat().st_mtime < since:
                continue
            file = path.open("rb")
        except FileNotFoundError:  # its time was over
            continue
        lists: dict[str, ListLine] = {}
        with file:
            for text in file:
                if not text.endswith(b"\n"):
                    continue
                try:
                    line = decoder.decode(text)
                except msgspec.DecodeError:
                    continue
                if isinstance(line, ListLine):
                    lists[line.recommendation_id] = line
                elif line.at >= since and line.recommendation_id in lists:
                    yield Exposure(line, lists[line.recommendation_id])
