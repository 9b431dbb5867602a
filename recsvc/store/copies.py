"""The copy of the live state in Redis, from which a worker starts while the database is away.

One hash for each database URL: whose state it is, its change number, and the state itself, compressed and signed.
Of keys it holds what the database holds, the hashes of their secrets; who wants no profile is in it by a digest; the
secret under which ids are hashed is in it as it is. The signature is made with the URL and its password, so that who
can only write to Redis lets no key in; a SQLite file has no password, and its Redis has to be as safe as the file.

A copy outlives the last worker by an hour: a key that is revoked while no worker runs can come back only within it.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import zlib
from collections import namedtuple
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from recsvc.store import live
from recsvc.store.facts import Facts
from recsvc.store.keys import Key, grants
from recsvc.store.offers import offers
from recsvc.store.placements import placements
from recsvc.store.rules import Rules, rules

log = structlog.get_logger("recsvc.copies")

FORMAT: Final = 2
TTL_SECONDS: Final = 3600
# All workers together write at most once in this time, however often prices change.
PAUSE_SECONDS: Final = 5
# A whole catalogue is some megabytes, and nobody waits for it.
_TIMEOUT_SECONDS: Final = 2.0
# Packed in pieces: one call over 70,000 items would hold the interpreter for a tenth of a second.
_PIECE: Final = 1000
_ITEMS: Final = tuple(str(column.key) for column in live.item_columns())
_OFFERS: Final = tuple(str(column.name) for column in offers.columns)
_RULES: Final = tuple(str(column.name) for column in rules.columns)
_PLACEMENTS: Final = tuple(str(column.name) for column in placements.columns)
_Item: Final = namedtuple("_Item", _ITEMS)  # type: ignore[misc]  # the table says which fields
_Offer: Final = namedtuple("_Offer", _OFFERS)  # type: ignore[misc]
_Rule: Final = namedtuple("_Rule", _RULES)  # type: ignore[misc]
_Placement: Final = namedtuple("_Placement", _PLACEMENTS)  # type: ignore[misc]
_WRITE: Final = """
local known = redis.call('HMGET', KEYS[1], 'database', 'change')
if known[1] == ARGV[1] and tonumber(known[2]) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'database', ARGV[1], 'change', ARGV[2], 'body', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""


class Head(msgspec.Struct):
    """The first line of a copy. keys: id, hash, scopes, end (None: never) and rate of each."""

    format: int
    items: tuple[str, ...]
    offers: tuple[str, ...]
    rules: tuple[str, ...]
    placements: tuple[str, ...]
    database_id: str
    customer_secret: bytes
    numbers: tuple[int, int, int, int]
    keys: list[tuple[str, bytes, tuple[str, ...], float | None, int | None]]
    unprofiled: list[bytes]
    newest: list[str]


class Copy:
    """The copy of one database's state. Without Redis it keeps nothing and has nothing."""

    def __init__(self, url: str | None, sql_url: str) -> None:
        """Make one; `url` is that of Redis."""
        self._secret = hashlib.sha256(f"recsvc live state of {sql_url}".encode()).digest()
        self.key = f"recsvc:live:{hashlib.blake2b(self._secret, digest_size=8).hexdigest()}"
        self._redis: Any = None
        if url:
            self._redis = redis.Redis.from_url(
                url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )  # fmt: skip

    def keep(self, state: live.State) -> bool:
        """Have Redis hold this state or a newer one. True when this call wrote it.

        Raises:
            redis.RedisError: Redis is away.
        """
        if self._redis is None or not state.known:
            return False
        database, number = state.facts.database_id, change(state)
        known, newest = self._redis.hmget(self.key, "database", "change")
        if known == database.encode() and int(newest) >= number:
            self._redis.expire(self.key, TTL_SECONDS)
            return False
        if not self._redis.set(f"{self.key}:writer", 1, nx=True, ex=PAUSE_SECONDS):
            return False
        body = self._sign(pack(state))
        return bool(self._redis.eval(_WRITE, 1, self.key, database, number, body, TTL_SECONDS))

    def read(self) -> live.State | None:
        """Return the copy, None when there is none that can be used."""
        if self._redis is None:
            return None
        try:
            signed = self._redis.hget(self.key, "body")
        except (redis.RedisError, OSError):
            log.warning("Redis away, no copy of the live state")
            return None
        if signed is None:
            return None
        body = signed[hashlib.sha256().digest_size :]
        if not hmac.compare_digest(self._sign(body), signed):
            log.error("copy of the live state refused", why="not signed by us")
            return None
        try:
            return unpack(body)
        except (msgspec.DecodeError, zlib.error, ValueError, TypeError) as error:
            log.error("copy of the live state refused", why=type(error).__name__)
            return None

    def close(self) -> None:
        """End the connections."""
        if self._redis is not None:
            self._redis.close()

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, "sha256") + body


def change(state: live.State) -> int:
    """Return the number of a state: it grows with every change of what a copy holds."""
    return state.facts.catalogue + state.facts.keys + state.facts.rules


def pack(state: live.State) -> bytes:
    """Return a state as compressed lines of JSON: the head, then items and offers in pieces."""
    squeeze = zlib.compressobj(1)
    parts = [squeeze.compress(line + b"\n") for line in _lines(state)]
    return b"".join([*parts, squeeze.flush()])


def unpack(body: bytes) -> live.State:
    """Return the state of `pack`.

    Raises:
        ValueError: written by another version of this program, whose tables may differ.
    """
    lines = zlib.decompress(body).split(b"\n")
    head = msgspec.json.decode(lines[0], type=Head)
    if (head.format, head.items, head.offers, head.rules, head.placements) != (
        FORMAT, _ITEMS, _OFFERS, _RULES, _PLACEMENTS,
    ):  # fmt: skip
        raise ValueError("another format")
    found: dict[str, list[Any]] = {"items": [], "offers": [], "rules": [], "placements": []}
    makes: dict[str, Any] = {"items": _Item, "offers": _Offer, "rules": _Rule, "placements": _Placement}
    for line in lines[1:-1]:
        kind, rows = msgspec.json.decode(line)
        found[kind].extend(makes[kind](*row) for row in rows)
    items, rules_of, settings = ({one[0]: one for one in found[kind]} for kind in ("items", "rules", "placements"))
    facts = Facts(head.database_id, head.customer_secret, *head.numbers)
    keys = {
        key_id: Key(key_id, secret, scopes, grants(scopes), math.inf if end is None else end, rate)
        for key_id, secret, scopes, end, rate in head.keys
    }
    newest = [items[item_id] for item_id in head.newest]
    catalogue = live.Catalogue(facts.catalogue, items, found["offers"], newest, frozenset(head.unprofiled))
    decided = Rules(facts.rules, rules_of, settings)
    return live.State(facts, catalogue, keys, None, copied=True, rules=decided)


def _lines(state: live.State) -> Iterator[bytes]:
    facts, catalogue = state.facts, state.catalogue
    ends = {name: None if math.isinf(one.expires_at) else one.expires_at for name, one in state.keys.items()}
    keys = [(k.key_id, k.secret_hash, k.scopes, ends[name], k.per_second) for name, k in state.keys.items()]
    yield msgspec.json.encode(Head(
        FORMAT, _ITEMS, _OFFERS, _RULES, _PLACEMENTS, facts.database_id, facts.customer_secret,
        (facts.catalogue, facts.keys, facts.cache_epoch, facts.rules), keys, sorted(catalogue.unprofiled),
        [one.item_id for one in catalogue.newest],
    ))  # fmt: skip
    parts = {
        "items": list(catalogue.items.values()), "offers": catalogue.offers, "rules": list(state.rules.rules.values()),
        "placements": list(state.rules.placements.values()),
    }  # fmt: skip
    for kind, rows in parts.items():
        for start in range(0, len(rows), _PIECE):
            yield msgspec.json.encode((kind, [tuple(row) for row in rows[start : start + _PIECE]]))
