"""A storefront: requests at a steady rate from many threads, each with one retry, and what came back."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

KNOWN = [f"c{n}" for n in range(120)]
# Half of the customers only look on: what they are shown must be what their night's list says.
QUIET, BUSY = KNOWN[::2], KNOWN[1::2]
_ITEMS = [f"{kind}-{n:02}" for kind in ("coffee", "tea") for n in range(28)]
_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Question:
    """One request of a storefront. kind: which of `KINDS` it is."""

    kind: str
    method: str
    path: str
    customer_id: str | None = None
    body: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, after `tries` attempts. asked_at, answered_at: epoch seconds of the last attempt. seconds: from
    the first byte sent to the last received, retry included. status: 0 when nobody answered."""

    question: Question
    asked_at: float
    answered_at: float
    seconds: float
    tries: int
    status: int
    degraded: str
    cache: str
    body: Any


@dataclass(slots=True)
class Shop:
    """Where a service listens, and how to ask it over connections that stay open, one for each thread."""

    port: int
    key: str
    _local: threading.local = field(default_factory=threading.local)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], Any]:
        """Return (status, headers, JSON). Raises OSError or HTTPException where nobody answered."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_SECONDS)
            self._local.connection = connection
        headers = {"X-API-Key": self.key, "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body).encode(), headers)
            reply = connection.getresponse()
            data = reply.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self._local.connection = None
            raise
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, json.loads(data or b"null")

    def leave(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def ask_twice(self, question: Question) -> Reply:
        """Ask, and once more where nobody answered or the service could not."""
        began = time.time()
        for tries in (1, 2):  # noqa: B007 what it was is told
            asked = time.time()
            try:
                status, headers, body = self.ask(question.method, question.path, question.body)
            except (OSError, ValueError, http.client.HTTPException):
                status, headers, body = 0, {}, None
            if status and status < 500:
                break
        now = time.time()
        return Reply(
            question, asked, now, now - began, tries, status, headers.get("x-degraded", ""),
            headers.get("x-cache", ""), body,
        )  # fmt: skip


def _recommendations(rng: random.Random) -> Question:
    customer = rng.choice([*KNOWN, "cold-tea", f"nobody-{rng.randrange(50)}"])
    return Question("recommendations", "GET", f"/v1/customers/{customer}/recommendations?limit=10", customer)


def _session(rng: random.Random) -> Question:
    body = {"placement": "cart", "items": rng.sample(_ITEMS, 2), "diversity": 0.3, "max_per": ["brand:8"]}
    return Question("session", "POST", "/v1/recommendations", None, body)


def _filtered(rng: random.Random) -> Question:
    customer = rng.choice(KNOWN)
    path = f"/v1/customers/{customer}/recommendations?category=tea&limit=5&offset={rng.choice([0, 5])}&locale=ro"
    return Question("filtered", "GET", path, customer)


def _page(rng: random.Random) -> Question:
    customer = rng.choice(KNOWN)
    blocks = [{"placement": "home", "limit": 6}, {"placement": "newsletter", "limit": 4}]
    return Question("page", "POST", "/v1/pages", customer, {"customer_id": customer, "blocks": blocks})


def _rank(rng: random.Random) -> Question:
    customer = rng.choice(KNOWN)
    return Question("rank", "POST", "/v1/rank", customer, {"customer_id": customer, "items": rng.sample(_ITEMS, 20)})


def _similar(rng: random.Random) -> Question:
    return Question("similar", "GET", f"/v1/items/{rng.choice(_ITEMS)}/similar")


def _together(rng: random.Random) -> Question:
    return Question("bought_together", "GET", f"/v1/items/{rng.choice(_ITEMS)}/bought-together")


def _again(rng: random.Random) -> Question:
    customer = rng.choice(KNOWN)
    return Question("buy_again", "GET", f"/v1/customers/{customer}/buy-again", customer)


def _bestsellers(rng: random.Random) -> Question:
    return Question("bestsellers", "GET", f"/v1/bestsellers?category={rng.choice(['coffee', 'tea'])}")


def _trending(rng: random.Random) -> Question:
    return Question("trending", "GET", f"/v1/trending?limit={rng.choice([5, 10])}")


KINDS: dict[str, tuple[int, Callable[[random.Random], Question]]] = {
    "recommendations": (50, _recommendations), "session": (8, _session), "filtered": (6, _filtered),
    "page": (6, _page), "rank": (5, _rank), "similar": (8, _similar), "bought_together": (5, _together),
    "buy_again": (6, _again), "bestsellers": (3, _bestsellers), "trending": (3, _trending),
}  # fmt: skip


def questions(rng: random.Random) -> Callable[[], Question]:
    """Return what makes one question after the other, in the shares of `KINDS`."""
    names, shares = list(KINDS), [share for share, _ in KINDS.values()]
    return lambda: KINDS[rng.choices(names, shares)[0]][1](rng)


def steady(shop: Shop, count: int, per_second: float, rng: random.Random, keep: Callable[[Reply], None]) -> float:
    """Ask `count` times, each at its moment whether the one before was answered or not, as far as 32 threads go.

    Returns:
        The seconds it took.
    """
    ask, numbers, lock, began = questions(rng), itertools.count(), threading.Lock(), time.monotonic()

    def work() -> None:
        while True:
            with lock:
                number, question = next(numbers), ask()
            if number >= count:
                shop.leave()
                return
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))
            keep(shop.ask_twice(question))

    threads = [threading.Thread(target=work) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - began
