"""Answers kept under an idempotency key, so that a write sent again gets the same answer and has no second effect."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa

from recsvc.errors import Conflict
from recsvc.store.database import MICROSECONDS, metadata

replays = sa.Table(
    "replays", metadata,
    sa.Column("digest", sa.LargeBinary(16), primary_key=True), sa.Column("body", sa.LargeBinary(16)),
    sa.Column("reply", sa.Text), sa.Column("created_at", sa.BigInteger),
)  # fmt: skip

KEEP_SECONDS = 86400
_SWEEP = 200


def find(connection: sa.Connection, key: str, body: bytes) -> str | None:
    """Return the answer kept under `key`, or None when it is new.

    Raises:
        Conflict: the key was used with another body.
    """
    row = connection.execute(sa.select(replays).where(replays.c.digest == hashed(key.encode()))).one_or_none()
    if row is None:
        return None
    if row.body != hashed(body):
        raise Conflict("Idempotency-Key: was used with another body", {"Idempotency-Key": "was used with another body"})
    return str(row.reply)


def keep(connection: sa.Connection, key: str, body: bytes, reply: str, now: float) -> None:
    """Keep an answer for a day, in the transaction of the write itself; older ones go, a few at a time."""
    old = (
        sa.select(replays.c.digest).where(replays.c.created_at < int((now - KEEP_SECONDS) * MICROSECONDS)).limit(_SWEEP)
    )
    connection.execute(sa.delete(replays).where(replays.c.digest.in_(old)))
    row = {"digest": hashed(key.encode()), "body": hashed(body), "reply": reply, "created_at": int(now * MICROSECONDS)}
    connection.execute(sa.insert(replays), row)


def hashed(value: bytes) -> bytes:
    """Return 16 bytes that stand for `value`."""
    return hashlib.blake2b(value, digest_size=16).digest()
