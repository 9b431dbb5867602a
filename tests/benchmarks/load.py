"""Asking a service: keep-alive connections that send prepared requests, as fast as answers come or at a steady rate."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

CALLERS = 8


@dataclass(slots=True)
class Asked:
    """What came of it. seconds: of each answer; at a steady rate from the moment it was due."""

    seconds: list[float] = field(default_factory=list)
    bad: list[bytes] = field(default_factory=list)
    cached: dict[bytes, int] = field(default_factory=dict)

    def percentile(self, part: float) -> float:
        """Return the seconds within which that part of the answers came."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(part * len(self.seconds)))]


def get(path: str, key: str) -> bytes:
    """Return the bytes of a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nX-API-Key: {key}\r\n\r\n".encode()


def ask(port: int, requests: Iterable[bytes], count: int, per_second: float | None = None) -> Asked:
    """Send `count` of the requests, over and over, by eight callers; `per_second` of them, or each after the last."""
    asked, endless, lock = Asked(), itertools.cycle(requests), threading.Lock()
    began = time.perf_counter()
    numbers = iter(range(count))

    def following() -> Iterator[tuple[int, bytes]]:
        while True:
            with lock:
                number = next(numbers, None)
                if number is None:
                    return
                request = next(endless)
            yield number, request

    def call() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number, request in following():
                due = time.perf_counter()
                if per_second:
                    due = began + number / per_second
                    time.sleep(max(0.0, due - time.perf_counter()))
                head = _one(connection, request)
                asked.seconds.append(time.perf_counter() - due)
                if not head.startswith((b"HTTP/1.1 2", b"HTTP/1.1 304")):
                    asked.bad.append(head)
                cache = head.partition(b"X-Cache: ")[2].partition(b"\r\n")[0]
                asked.cached[cache] = asked.cached.get(cache, 0) + 1

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return asked


def _one(connection: socket.socket, request: bytes) -> bytes:
    """Send a request and read the answer; returns its head."""
    connection.sendall(request)
    got = b""
    while b"\r\n\r\n" not in got:
        part = connection.recv(65536)
        if not part:
            raise RuntimeError("the service closed the connection")
        got += part
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head
