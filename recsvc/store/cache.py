"""Redis: finished answers, and each customer's revision. Never the only place of anything.

Every value carries its own key and the state it was made from, and is checked when read. Keys carry the cache
epoch; when a revision could not be written, the epoch is advanced in the database and nothing older is trusted.
Redis slow, stopped or gone costs three short waits, then one per half second and process: the breaker is open and
answers are computed.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_PAUSE_SECONDS = 0.5
_FAILURES = 3
REMEMBERED = 200
_ERRORS = (redis.RedisError, OSError, ValueError)
# The revision only grows: two interactions may arrive here in the other order than they were committed.
_ADVANCE = """
for n, key in ipairs(KEYS) do
  local known = tonumber(redis.call('GET', key) or '-1')
  if known < tonumber(ARGV[n + 1]) then redis.call('SET', key, ARGV[n + 1], 'EX', ARGV[1]) end
end
return 1
"""
# The key lives as long as the longest time anybody asked for.
_REMEMBER = """
for n = 4, #ARGV do redis.call('ZADD', KEYS[1], ARGV[1], ARGV[n]) end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[3]))
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return 1
"""
# A bucket of one second's worth, filled by the time that passed; all that is asked for or nothing. Redis's own clock,
# unless another is handed in: the clocks of several machines differ.
_LEASE = """
local now, rate, want = tonumber(ARGV[3]), tonumber(ARGV[1]), tonumber(ARGV[2])
if not now then local t = redis.call('TIME') now = t[1] + t[2] / 1000000 end
local known = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = rate
if known[1] then tokens = math.min(rate, known[1] + math.max(0, now - known[2]) * rate) end
local given = 0
if tokens >= want then given = want end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens - given), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], 5)
return {given, string.format('%.6f', math.max(0, want - tokens) / rate)}
"""


class Stamp(msgspec.Struct, frozen=True, array_like=True):
    """The state an answer was made from, kept in front of its bytes; `flows/stamps.py` says when it still holds.

    version: of the model. revision: of the customer. rules: the mark of what they make of the model's items; newcomers:
    of those that it does not know. catalogue: its change number.
    until: epoch seconds at which a start or end date makes the answer wrong. rows: of the items in the answer; cited:
    of those that its words name besides. strict: another catalogue makes it wrong, whatever changed in it.
    source: how the list was made, for the log. etag: names the bytes. key, late_at: set when it is kept; from
    `late_at` on (epoch seconds) the answer is right but so old that one request makes it anew.
    """

    version: str
    revision: int
    rules: int
    catalogue: int
    until: float
    rows: tuple[int, ...] = ()
    cited: tuple[int, ...] = ()
    strict: bool = False
    newcomers: int = 0
    source: str = ""
    etag: str = ""
    key: str = ""
    late_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """What one look-up found. `away`: Redis did not answer. `revision`: the customer's, None when not known."""

    away: bool = False
    revision: int | None = None
    stamp: Stamp | None = None
    body: bytes = b""


AWAY = Found(away=True)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is to be kept. revision: the customer's, to be told with it; None when the answer is nobody's.
    seconds: its time to live, None for the setting's."""

    stamp: Stamp
    body: bytes
    revision: int | None = None
    seconds: int | None = None


class Cache:
    """A connection pool and a breaker; `url` None means there is no Redis at all."""

    def __init__(self, url: str | None, timeout_seconds: float, ttl_seconds: int) -> None:
        self._ttl = ttl_seconds
        self._opens_at = 0.0
        self._failures = 0
        self._probe = threading.Lock()
        self._redis: Any = None
        if url:
            self._redis = redis.Redis.from_url(
                url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds,
                retry=Retry(NoBackoff(), 0), max_connections=256, health_check_interval=0,
            )  # fmt: skip
            self._lease = self._redis.register_script(_LEASE)

    @property
    def configured(self) -> bool:
        """Whether there should be a Redis at all."""
        return self._redis is not None

    def fetch(self, prefix: str, name: str) -> Found:
        """Return what is cached as `name` under `prefix`, and the revision kept beside it, in one round trip."""
        key = f"{prefix}:{name}"
        answer = self._ask(lambda r: r.mget(f"{prefix}:rev", key))
        if answer is None:
            return AWAY
        try:
            revision = int(answer[0]) if answer[0] is not None else None
            if answer[1] is None:
                return Found(revision=revision)
            header, _, body = answer[1].partition(b"\n")
            stamp = msgspec.json.decode(header, type=Stamp)
        except (msgspec.DecodeError, ValueError, TypeError, AttributeError):
            return Found()  # garbage is a miss
        return Found(revision=revision, stamp=stamp if stamp.key == key else None, body=body)

    def keep(self, prefix: str, name: str, kept: Kept, now: float) -> Stamp:
        """Keep an answer for its time to live, spread by a tenth so that keys do not expire together, and the revision
        that it was made at, in one round trip. Returns the stamp as it was kept.

        Args:
            now: epoch seconds.
        """
        key = f"{prefix}:{name}"
        ttl = max(1, int((kept.seconds or self._ttl) * random.uniform(0.9, 1.1)))  # noqa: S311 not a secret
        # In its last tenth one request makes it anew while the others still have it.
        stamp = msgspec.structs.replace(kept.stamp, key=key, late_at=now + 0.9 * ttl)
        value = msgspec.json.encode(stamp) + b"\n" + kept.body

        def tell(r: Any) -> Any:
            with r.pipeline(transaction=False) as line:
                line.set(key, value, ex=ttl)
                if kept.revision is not None:
                    line.eval(_ADVANCE, 1, f"{prefix}:rev", self._ttl * 2, kept.revision)
                return line.execute()

        self._ask(tell)
        return stamp

    def advance(self, prefix: str, revision: int) -> bool:
        """Let everybody know a customer's newest revision. False when Redis did not take it."""
        return self.advance_many({prefix: revision})

    def advance_many(self, revisions: dict[str, int]) -> bool:
        """Let everybody know the newest revisions of several customers, in one round trip. False as `advance`."""
        if self._redis is None or not revisions:
            return True

        # One script for all: a batch of 500 cost as much to tell, one by one, as to store.
        keys = [f"{prefix}:rev" for prefix in revisions]
        return self._ask(lambda r: r.eval(_ADVANCE, len(keys), *keys, self._ttl * 2, *revisions.values())) is not None

    def lease(self, name: str, per_second: int, want: int, now: float | None = None) -> tuple[int, float] | None:
        """Take `want` tokens, or none, from a bucket that fills by `per_second`. None when Redis is away.

        Args:
            now: seconds, for tests; Redis's own clock otherwise.

        Returns:
            How many were given, and the seconds until as many can be had.
        """
        arguments = [per_second, want, "" if now is None else now]
        answer = self._ask(lambda r: self._lease(keys=[f"recsvc:rate:{{{name}}}"], args=arguments, client=r))
        return None if answer is None else (int(answer[0]), float(answer[1]))

    def recall(self, key: str, since: float) -> dict[str, float] | None:
        """Return what is remembered under `key` since a moment: item id → epoch seconds. None when Redis is away."""
        answer = self._ask(lambda r: r.zrangebyscore(key, since, "+inf", withscores=True))
        return None if answer is None else {item_id.decode(): float(at) for item_id, at in answer}

    def remember(self, key: str, items: Sequence[str], at: float, seconds: int) -> bool:
        """Remember items under `key` with the moment `at`, for `seconds` at least, the newest 200 of all. False when
        Redis did not take it."""
        return self._ask(lambda r: r.eval(_REMEMBER, 1, key, at, seconds, REMEMBERED, *items)) is not None

    def weight(self, prefix: str, name: str) -> int:
        """Return the bytes of Redis that an answer takes, its key and the revision beside it included; 0: unknown."""
        keys = (f"{prefix}:rev", f"{prefix}:{name}")
        return sum(self._ask(lambda r, key=key: r.memory_usage(key, samples=0)) or 0 for key in keys)

    def ping(self) -> bool:
        """Whether Redis answers now."""
        return bool(self._ask(lambda r: r.ping()))

    def _ask(self, question: Any) -> Any:
        """Return Redis's answer, or None when it is away. While the breaker is open nobody waits."""
        if self._redis is None or time.monotonic() < self._opens_at:
            return None
        probing = self._opens_at > 0
        if probing and not self._probe.acquire(blocking=False):
            return None  # one request asks whether it is back; the others need not wait for that
        try:
            answer = question(self._redis)
            self._opens_at, self._failures = 0.0, 0
            return answer
        except _ERRORS:
            # One slow answer is a busy machine; some in a row are an outage, and then nobody need wait.
            self._failures += 1
            if self._failures >= _FAILURES:
                self._opens_at = time.monotonic() + _PAUSE_SECONDS
            return None
        finally:
            if probing:
                self._probe.release()
