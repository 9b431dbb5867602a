"""API keys: `rk_<id>_<secret>` with 256 random bits, of which only the SHA-256 is stored.

A name has at most two live keys: the one in use and, while the callers change over, the one that follows it.
A revoked key stays in the table, so that one can still see what it was and when it was last used.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from recsvc.concepts import SCOPES
from recsvc.errors import InvalidRequest, NotFound
from recsvc.store.database import LOAD_SECONDS, MICROSECONDS, metadata, reading, writing
from recsvc.store.facts import advance

keys = sa.Table(
    "keys", metadata,
    sa.Column("key_id", sa.Text, primary_key=True), sa.Column("secret_hash", sa.LargeBinary(32)),
    sa.Column("name", sa.Text), sa.Column("created_at", sa.BigInteger), sa.Column("scopes", sa.Text),
    sa.Column("expires_at", sa.BigInteger), sa.Column("revoked_at", sa.BigInteger),
    sa.Column("per_second", sa.Integer), sa.Column("last_used_at", sa.BigInteger),
)  # fmt: skip

LIVE_PER_NAME = 2
DAY = 86400 * MICROSECONDS


@dataclass(frozen=True, slots=True)
class Key:
    """What a worker holds of a key. grants: its scopes and all they include. expires_at: epoch seconds.
    per_second: requests it may make, None for the setting's."""

    key_id: str
    secret_hash: bytes
    scopes: tuple[str, ...]
    grants: frozenset[str]
    expires_at: float = float("inf")
    per_second: int | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What a new key may do, until when and how often."""

    scopes: tuple[str, ...] = ("storefront",)
    expires_at: datetime | None = None
    per_second: int | None = None


def create(engine: sa.Engine, name: str, now: datetime, terms: Terms | None = None) -> str:
    """Return a new key. This is the only time it can be read.

    Raises:
        InvalidRequest: an unknown scope, or the name has two live keys.
    """
    with writing(engine) as connection:
        key = _insert(connection, name, now, terms or Terms())
        advance(connection, "keys")
    return key


def rotate(engine: sa.Engine, name: str, now: datetime, overlap: timedelta) -> str:
    """Return a new key with the terms of the live one of that name, which ends after `overlap`.

    A key that was made for a number of days is followed by one for as many days.

    Raises:
        NotFound: no live key has that name.
        InvalidRequest: the name has two live keys.
    """
    with writing(engine) as connection:
        live = _live(connection, name, now)
        if not live:
            raise NotFound(f"{name}: no live key has this name; see recsvc keys list")
        old = live[0]
        ends_at = None
        if old.expires_at is not None:
            ends_at = now + timedelta(microseconds=old.expires_at - old.created_at)
        key = _insert(connection, name, now, Terms(tuple(old.scopes.split()), ends_at, old.per_second))
        end = _micro(now + overlap)
        if old.expires_at is not None:
            end = min(end, old.expires_at)
        connection.execute(sa.update(keys).where(keys.c.key_id == old.key_id).values(expires_at=end))
        advance(connection, "keys")
    return key


def revoke(engine: sa.Engine, key_id: str, now: datetime) -> None:
    """End a key. Every worker refuses it at its next poll.

    Raises:
        NotFound: there is no such key, or it was revoked before.
    """
    with writing(engine) as connection:
        query = sa.update(keys).where(keys.c.key_id == key_id, keys.c.revoked_at.is_(None))
        if not connection.execute(query.values(revoked_at=_micro(now))).rowcount:
            raise NotFound(f"{key_id}: no key in use has this id; see recsvc keys list")
        advance(connection, "keys")


def listing(engine: sa.Engine) -> list[Any]:
    """Return all keys, oldest first, without what could be used to guess a secret."""
    columns = [column for column in keys.columns if column.name != "secret_hash"]
    with reading(engine, LOAD_SECONDS) as connection:
        return list(connection.execute(sa.select(*columns).order_by(keys.c.created_at, keys.c.key_id)))


def load(engine: sa.Engine) -> dict[str, Key]:
    """Return key id → key for all that were not revoked; whether one has expired is for the moment of its use."""
    with reading(engine, LOAD_SECONDS) as connection:
        rows = connection.execute(sa.select(keys).where(keys.c.revoked_at.is_(None))).all()
    return {
        row.key_id: Key(
            row.key_id, row.secret_hash, tuple(row.scopes.split()), grants(row.scopes.split()),
            float("inf") if row.expires_at is None else row.expires_at / MICROSECONDS, row.per_second,
        )
        for row in rows
    }  # fmt: skip


def find(known: dict[str, Key], other: Key | None, given: str, now: float) -> Key | None:
    """Return the live key that was given, or None. Compared in constant time, also when the id is unknown.

    Args:
        other: one more key besides the known ones.
        now: epoch seconds.
    """
    parts = given.split("_")
    if len(parts) != 3 or parts[0] != "rk":
        parts = ["rk", "", ""]
    key = other if other is not None and other.key_id == parts[1] else known.get(parts[1])
    same = hmac.compare_digest(bytes(32) if key is None else key.secret_hash, hashed(parts[2]))
    return key if same and key is not None and now < key.expires_at else None


def note_use(connection: sa.Connection, key_ids: Iterable[str], now: float) -> None:
    """Write the day of last use, inside the caller's transaction. Workers need not hear of it."""
    day = int(now * MICROSECONDS) // DAY * DAY
    connection.execute(sa.update(keys).where(keys.c.key_id.in_(list(key_ids))).values(last_used_at=day))


def grants(scopes: Iterable[str]) -> frozenset[str]:
    """Return the scopes with all that they include; a word that is no scope grants nothing."""
    return frozenset(each for scope in scopes for each in SCOPES.get(scope, ()))


def hashed(secret: str) -> bytes:
    """Return what is stored of a secret."""
    return hashlib.sha256(secret.encode("utf-8", errors="replace")).digest()


def _insert(connection: sa.Connection, name: str, now: datetime, terms: Terms) -> str:
    unknown = [scope for scope in terms.scopes if scope not in SCOPES]
    if unknown or not terms.scopes:
        raise InvalidRequest(f"scope: {', '.join(unknown) or 'none'}, must be among {', '.join(SCOPES)}")
    if len(_live(connection, name, now)) >= LIVE_PER_NAME:
        raise InvalidRequest(f"{name}: has {LIVE_PER_NAME} live keys already; revoke one: recsvc keys list")
    key_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    row = {
        "key_id": key_id, "secret_hash": hashed(secret), "name": name, "created_at": _micro(now),
        "scopes": " ".join(sorted(set(terms.scopes))), "per_second": terms.per_second,
        "expires_at": _micro(terms.expires_at) if terms.expires_at else None,
    }  # fmt: skip
    connection.execute(sa.insert(keys), row)
    return f"rk_{key_id}_{secret}"


def _live(connection: sa.Connection, name: str, now: datetime) -> list[Any]:
    """Return the live keys of a name, newest first."""
    t = keys.c
    query = sa.select(keys).where(
        t.name == name, t.revoked_at.is_(None), sa.or_(t.expires_at.is_(None), t.expires_at > _micro(now))
    )
    return list(connection.execute(query.order_by(t.created_at.desc())))


def _micro(at: datetime) -> int:
    return int(at.timestamp() * MICROSECONDS)
