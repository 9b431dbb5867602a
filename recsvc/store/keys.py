"""API keys: `rk_<id>_<secret>` with 256 random bits, of which only the SHA-256 is stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime

import sqlalchemy as sa

from recsvc.store.database import LOAD_SECONDS, MICROSECONDS, metadata, reading, writing
from recsvc.store.facts import advance

keys = sa.Table(
    "keys", metadata,
    sa.Column("key_id", sa.Text, primary_key=True), sa.Column("secret_hash", sa.LargeBinary(32)),
    sa.Column("name", sa.Text), sa.Column("created_at", sa.BigInteger),
)  # fmt: skip


def create(engine: sa.Engine, name: str, now: datetime) -> str:
    """Return a new key. This is the only time it can be read."""
    key_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    row = {
        "key_id": key_id, "secret_hash": _hash(secret), "name": name,
        "created_at": int(now.timestamp() * MICROSECONDS),
    }  # fmt: skip
    with writing(engine) as connection:
        connection.execute(sa.insert(keys), row)
        advance(connection, "keys")
    return f"rk_{key_id}_{secret}"


def load(engine: sa.Engine) -> dict[str, bytes]:
    """Return key id → SHA-256 of its secret."""
    with reading(engine, LOAD_SECONDS) as connection:
        return {
            key_id: secret_hash
            for key_id, secret_hash in connection.execute(sa.select(keys.c.key_id, keys.c.secret_hash))
        }


def matches(known: dict[str, bytes], key: str) -> bool:
    """Whether `key` is one of the known keys. Compared in constant time, also when the id is unknown."""
    parts = key.split("_")
    if len(parts) != 3 or parts[0] != "rk":
        parts = ["rk", "", ""]
    stored = known.get(parts[1])
    return hmac.compare_digest(stored or bytes(32), _hash(parts[2])) and stored is not None


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", errors="replace")).digest()
