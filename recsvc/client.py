"""A small client for a shop's own servers: lists within a deadline, interactions in batches.

A list always comes: from the service, else the last good one of the same question, else the default. A page of a shop
must not fail, nor wait, for what is beside it. Interactions are named here, sent by a thread in arrays, and sent again
until the service has acknowledged them: by their names it counts each once.

Threads may share a client, and so may processes that fork. It imports urllib3 and nothing of the service.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from recsvc.claiming import Claims
from recsvc.outbox import Outbox

log = logging.getLogger("recsvc.client")

_WRITE_SECONDS: Final = 10.0
_CLAIM_SECONDS: Final = 5.0
_LONGEST_REST_SECONDS: Final = 60.0
_CHUNK: Final = 65536
# What the key may not, or not so often: the question is as good as before.
_OF_THE_KEY: Final = (401, 403)


@dataclass(frozen=True, slots=True)
class Listed:
    """A list to show. items: as the service writes them. reply: the whole of it. exposure_id: names this reply; empty
    when it did not come from the service now. stale: it is the last good one, or the default. problem: why."""

    items: list[dict[str, Any]]
    reply: dict[str, Any] = field(default_factory=dict)
    exposure_id: str = ""
    stale: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Good:
    """A list that came, as bytes, and when (monotonic seconds)."""

    data: bytes
    etag: str
    at: float


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: Mapping[str, str]
    data: bytes


class _Refused(Exception):
    """The service answered that the question itself is wrong."""


class Client:
    """Asks one service with one key. Close it, or leave that to the end of the process."""

    def __init__(
        self, url: str, key: str, *, deadline_seconds: float = 0.2, default: Sequence[dict[str, Any]] = (),
        remember: int = 1000, remember_seconds: float = 3600.0, queue: int = 10_000,
    ) -> None:  # fmt: skip
        """Connect to nothing yet.

        Args:
            url: of the service, as http://127.0.0.1:8000.
            deadline_seconds: the longest a list may take, a second try included.
            default: the items of a list when there is neither an answer nor a last good one.
            remember: how many last good lists are kept, each for `remember_seconds`.
            queue: how many interactions wait at most; see `track`.
        """
        parts = urlsplit(url)
        self._origin, self._path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
        self._headers = {"X-API-Key": key}
        self._deadline, self._default = deadline_seconds, list(default)
        self._remember, self._remember_seconds = remember, remember_seconds
        self._good: OrderedDict[tuple[str, bytes], _Good] = OrderedDict()
        self._rests_until = 0.0
        self.outbox = Outbox(self._post, queue)
        self.claims = Claims(self._write)
        self._connect()
        alive = weakref.ref(self)

        def renew() -> None:
            client = alive()
            if client is not None:
                client._renew()

        os.register_at_fork(after_in_child=renew)

    def _connect(self) -> None:
        self._lock = threading.Lock()
        self._pool = urllib3.connection_from_url(self._origin, maxsize=32)

    def _renew(self) -> None:
        """A connection has one owner, and a lock that another thread held would never be free: none cross a fork."""
        self._connect()
        self.outbox.renew()

    def recommendations(self, customer_id: str, placement: str = "home", **asked: Any) -> Listed:
        """Return a customer's list; `asked`: any parameter of the endpoint, as limit=5, exclude=["a", "b"]."""
        return self.get(f"/v1/customers/{_id(customer_id)}/recommendations", placement=placement, **asked)

    def buy_again(self, customer_id: str, **asked: Any) -> Listed:
        """Return what a customer is likely to buy again."""
        return self.get(f"/v1/customers/{_id(customer_id)}/buy-again", **asked)

    def offers(self, customer_id: str, **asked: Any) -> Listed:
        """Return a customer's offers as the items of a list; to claim one: `claims`."""
        return self.get(f"/v1/customers/{_id(customer_id)}/offers", **asked)

    def similar(self, item_id: str, **asked: Any) -> Listed:
        """Return items like one."""
        return self.get(f"/v1/items/{_id(item_id)}/similar", **asked)

    def bought_together(self, item_id: str, **asked: Any) -> Listed:
        """Return what goes with an item."""
        return self.get(f"/v1/items/{_id(item_id)}/bought-together", **asked)

    def rank(self, customer_id: str, items: Sequence[str], limit: int = 1000) -> Listed:
        """Return items, as those of a search, in a customer's order; as they were given when none comes."""
        body = json.dumps({"customer_id": customer_id, "items": list(items), "limit": limit}).encode()
        listed = self._list("POST", "/v1/rank", body)
        if listed.reply:
            return listed
        return replace(listed, items=[{"item_id": one, "slot": n} for n, one in enumerate(items[:limit], 1)])

    def get(self, path: str, **asked: Any) -> Listed:
        """Return the list at a path, as `/v1/bestsellers`; parameters that are None are left out, an object, as a
        filter, is written as JSON."""
        given = {
            name: json.dumps(value) if isinstance(value, Mapping) else value
            for name, value in asked.items() if value is not None
        }  # fmt: skip
        return self._list("GET", f"{path}?{urlencode(given, doseq=True)}" if given else path, b"")

    def post(self, path: str, body: Mapping[str, Any]) -> Listed:
        """Return the list that a question with a body asks for. It must be one that changes nothing: it may be asked
        twice."""
        return self._list("POST", path, json.dumps(body).encode())

    def track(self, interaction: Mapping[str, Any]) -> str | None:
        """Have an interaction sent soon, and return its id: the given one, or one that is made here.

        Where `occurred_at` is missing, it is now. None: too many wait, as the service is away, and it was dropped;
        `outbox.dropped` counts these, `outbox.rejected` what the service refused.
        """
        one = {"interaction_id": uuid.uuid4().hex, "occurred_at": datetime.now(UTC).isoformat(), **interaction}
        return str(one["interaction_id"]) if self.outbox.put(json.dumps(one, default=_plain).encode()) else None

    def flush(self, seconds: float = 10.0) -> bool:
        """Send what was tracked now, and wait for the service to acknowledge it. Whether it did so in time."""
        return self.outbox.flush(seconds)

    def close(self, seconds: float = 10.0) -> bool:
        """Flush, and end. What could not be sent in time is lost; whether nothing was."""
        done = self.outbox.close(seconds)
        self._pool.close()
        return done

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _list(self, method: str, target: str, body: bytes) -> Listed:
        """Return a list, whatever happens."""
        with self._lock:
            good = self._good.get((target, body))
        headers = {"If-None-Match": good.etag} if good is not None and good.etag else {}
        try:
            reply = self._ask(method, target, body, headers)
            data = good.data if reply.status == 304 and good is not None else reply.data
            listed = _listed(data, reply.headers.get("X-Exposure-Id", ""))
        except _Refused as error:  # asked again it is refused again: what was good for it once is no answer now
            return self._instead(None, str(error))
        except (OSError, ValueError) as error:
            return self._instead(good, str(error) or type(error).__name__)
        with self._lock:
            self._good[target, body] = _Good(data, reply.headers.get("ETag", ""), time.monotonic())
            self._good.move_to_end((target, body))
            if len(self._good) > self._remember:
                self._good.popitem(last=False)
        return listed

    def _instead(self, good: _Good | None, problem: str) -> Listed:
        log.warning("no list from the service: %s", problem)
        if good is not None and time.monotonic() - good.at < self._remember_seconds:
            return _listed(good.data, "", problem)
        return Listed(list(self._default), stale=True, problem=problem)

    def _ask(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> _Reply:
        """Return a good reply within the deadline, asking a second time where the first broke or was a 5xx.

        Raises:
            _Refused: the question is wrong. OSError: there is none.
        """
        ends_at, problem = time.monotonic() + self._deadline, "no answer in time"
        for _ in range(2):
            if self._rests_until >= ends_at:
                raise OSError(f"{problem}; the service asked to be left alone")
            time.sleep(max(0.0, self._rests_until - time.monotonic()))
            try:
                reply = self._send(method, target, body, headers, ends_at)
            except OSError as error:
                problem = str(error)
                continue
            if reply.status in {200, 304}:
                return reply
            problem = _said(reply)
            if reply.status in _OF_THE_KEY:
                break
            if reply.status < 500 and reply.status != 429:
                raise _Refused(problem)
        raise OSError(problem)

    def _send(self, method: str, target: str, body: bytes, headers: dict[str, str], ends_at: float) -> _Reply:
        """Send a request once and return what comes back, by `ends_at` (monotonic seconds).

        Raises:
            OSError: nothing whole came in time.
        """
        content = {"Content-Type": "application/json"} if body else {}
        left = ends_at - time.monotonic()
        if left <= 0:
            raise OSError("no answer in time")
        try:
            found = self._pool.urlopen(
                method, self._path + target, body or None, {**self._headers, **content, **headers},
                retries=False, redirect=False, timeout=urllib3.Timeout(total=left), preload_content=False,
            )  # fmt: skip
            reply = _Reply(found.status, found.headers, _read(found, ends_at))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise OSError(type(error).__name__) from error
        if reply.status in {429, 503}:
            after = reply.headers.get("Retry-After", "")
            wait = min(float(after), _LONGEST_REST_SECONDS) if after.isdecimal() else 0.0
            self._rests_until = time.monotonic() + wait
        return reply

    def _post(self, body: bytes) -> tuple[int, bytes, float]:
        reply = self._send("POST", "/v1/interactions", body, {}, time.monotonic() + _WRITE_SECONDS)
        return reply.status, reply.data, self._rests_until - time.monotonic()

    def _write(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        reply = self._send("POST", path, body, headers, time.monotonic() + _CLAIM_SECONDS)
        return reply.status, reply.data


def _read(found: urllib3.BaseHTTPResponse, ends_at: float) -> bytes:
    """Return the body, by `ends_at`: urllib3 limits each wait, and this their sum.

    Raises:
        OSError, urllib3.exceptions.HTTPError: it did not all come.
    """
    data = b""
    try:
        while True:
            sock = getattr(found.connection, "sock", None)
            if sock is not None:
                sock.settimeout(max(0.001, ends_at - time.monotonic()))
            chunk = found.read1(_CHUNK)
            if not chunk:
                found.release_conn()
                return data
            data += chunk
            if time.monotonic() >= ends_at:
                raise TimeoutError
    except BaseException:
        found.close()
        raise


def _id(given: object) -> str:
    """Return an id as a part of a path; a number, as databases give them, is its text."""
    return quote(str(given), safe="")


def _plain(value: object) -> str:
    """Return what JSON has no word for as text, a moment as RFC 3339."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _said(reply: _Reply) -> str:
    """Return what the service said was wrong."""
    try:
        return f"status {reply.status}: {json.loads(reply.data)['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"status {reply.status}"


def _listed(data: bytes, exposure_id: str, problem: str = "") -> Listed:
    """Return a list from the bytes of a reply.

    Raises:
        ValueError: it is none.
    """
    reply = json.loads(data)
    if not isinstance(reply, dict):
        raise ValueError("not a list")
    items = reply["items"] if "items" in reply else reply.get("offers", [])
    return Listed(items, reply, exposure_id, bool(problem), problem)
