"""What a shop's server has yet to tell the service: a bounded queue, and a thread that sends it in arrays."""

from __future__ import annotations

import atexit
import json
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

log = logging.getLogger("recsvc.client")

_BATCH: Final = 500
# Well under what the service takes in one body.
_BATCH_BYTES: Final = 512 * 1024
_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0

Post = Callable[[bytes], tuple[int, bytes, float]]
"""Sends an array: status, body, and the seconds to wait before the next. Raises OSError when no whole reply came."""


class Outbox:
    """Interactions as JSON objects with an id each, so that sending one again has no second effect.

    dropped: how many found the queue full. rejected: how many the service refused.
    """

    def __init__(self, post: Post, most: int) -> None:
        """Start no thread yet. most: how many wait at most."""
        self._post, self._most = post, most
        self.dropped = self.rejected = 0
        self.renew()

    def renew(self) -> None:
        """Begin empty, as in a child of the process in which the queue is: what waits there is sent there."""
        self._queue: deque[bytes] = deque()
        self._sending = 0
        self._state = threading.Condition()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, interaction: bytes) -> bool:
        """Take one. False: the queue is full, or closed."""
        with self._state:
            fits = len(self._queue) + self._sending < self._most and not self._closing.is_set()
            if fits:
                self._queue.append(interaction)
            else:
                self.dropped += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="recsvc.client", daemon=True)
                self._thread.start()
                atexit.register(self.close, 2.0)
            if len(self._queue) >= _BATCH:
                self._wake.set()
        if not fits and self.dropped == 1:
            log.error("the queue of interactions is full or closed; some are dropped")
        return fits

    def flush(self, seconds: float) -> bool:
        """Send what waits now, and wait for the service to acknowledge it. Whether it did so in time."""
        self._wake.set()
        with self._state:
            return self._state.wait_for(lambda: not self._queue and not self._sending, seconds)

    def close(self, seconds: float) -> bool:
        """Flush, and end. What could not be sent in time is lost; whether nothing was."""
        done = self.flush(seconds)
        self._closing.set()
        self._wake.set()
        atexit.unregister(self.close)
        if self._thread is not None and done:
            self._thread.join(1.0)
        return done

    def _run(self) -> None:
        failures, pause = 0, _PAUSE_SECONDS
        while not self._closing.is_set():
            # After a failure nothing but time makes a difference.
            (self._closing if failures else self._wake).wait(pause)
            self._wake.clear()
            pause = _PAUSE_SECONDS
            while batch := self._take():
                again, wait = self._send(batch)
                self._settle(batch if again else [])
                failures = failures + 1 if again else 0
                if again:
                    pause = max(wait, min(_PAUSE_SECONDS * 2 ** (failures - 1), _LONGEST_PAUSE_SECONDS))
                    break

    def _take(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        with self._state:
            while self._queue and len(batch) < _BATCH and (not batch or size + len(self._queue[0]) < _BATCH_BYTES):
                batch.append(self._queue.popleft())
                size += len(batch[-1])
            self._sending = len(batch)
        return batch

    def _settle(self, back: list[bytes]) -> None:
        """Note that nothing is under way any more; what is to be sent again goes back to the front."""
        with self._state:
            self._queue.extendleft(reversed(back))
            self._sending = 0
            self._state.notify_all()

    def _send(self, batch: list[bytes]) -> tuple[bool, float]:
        """Send a batch. Whether it has to be sent again, and the seconds to wait before."""
        try:
            status, data, wait = self._post(b"[" + b",".join(batch) + b"]")
            refused = json.loads(data)["rejected"] if status < 300 else []
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("interactions are not taken, they are sent again: %s", str(error) or type(error).__name__)
            return True, 0.0
        # A key may be let in again; what the service cannot read it will never read.
        if status >= 500 or status in {401, 403, 408, 429}:
            log.warning("interactions are not taken, they are sent again: status %d", status)
            return True, wait
        if status >= 300 or refused:
            n = len(refused) or len(batch)
            self.rejected += n
            log.error("%d of %d interactions were refused: %s", n, len(batch), refused[:1] or f"status {status}")
        return False, 0.0
