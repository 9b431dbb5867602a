"""Checks over the store and the model, each a small function: what was found and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from recsvc import artifact
from recsvc.errors import ArtifactInvalid
from recsvc.store import facts, inventory, keys
from recsvc.store.database import MICROSECONDS
from recsvc.store.inventory import Counts

OK, WARN, FAIL = "OK", "WARN", "FAIL"
_WAL_BYTES: Final = 256 * 2**20
_MODEL_DAYS: Final = 7
_EVENT_DAYS: Final = 3
_SOON_DAYS: Final = 7
_UNUSED_DAYS: Final = 1
_AHEAD_SECONDS: Final = 600
_FEW: Final = 0.05
_MANY: Final = 0.5
_EARLIEST: Final = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. level: OK, WARN or FAIL. advice: what to do, empty when all is well."""

    name: str
    level: str
    found: str
    advice: str = ""


def schema(engine: sa.Engine) -> Finding:
    """Whether the schema is the newest."""
    found, head = inventory.schema(engine)
    if found == head:
        return Finding("schema", OK, f"version {found}")
    advice = "start `recsvc serve`, which brings it to the newest; a schema newer than the program: upgrade recsvc"
    return Finding("schema", FAIL, f"version {found or 'none'}, this program has {head}", advice)


def integrity(engine: sa.Engine) -> Finding:
    """Whether SQLite finds its file sound."""
    damage = inventory.damage(engine)
    if not damage:
        return Finding("integrity", OK, "quick check found nothing")
    return Finding(
        "integrity", FAIL, damage[0], "stop the service, restore a backup, or salvage: sqlite3 FILE .recover"
    )


def wal(file: Path) -> Finding:
    """Whether the write-ahead log is folded back into the database now and then."""
    log = file.with_name(f"{file.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    found = f"{size / 2**20:,.0f} MiB"
    if size <= _WAL_BYTES:
        return Finding("write-ahead log", OK, found)
    advice = "a reader holds it back: end long-running readers, or stop the service and open the file once"
    return Finding("write-ahead log", WARN, found, advice)


def model(root: Path, database_id: str | None, now: float) -> Finding:
    """Whether there is a model, whole, of this database and young."""
    train = "train: python -m training train"
    try:
        version = artifact.current(root)
        if version is None:
            return Finding("model", WARN, "nothing was published", f"{train}; until then lists show what sells")
        manifest = artifact.verify(root / version, version)
        made_from, age = manifest["parameters"]["database_id"], now - float(manifest["published_at"])
    except (ArtifactInvalid, OSError, KeyError, TypeError, ValueError) as error:
        back = ", or go back: python -m training rollback" if artifact.earlier(root) else ""
        return Finding("model", FAIL, f"cannot be read: {error}", train + back)
    days = f"{version}, {max(age, 0) / 86400:.1f} days old"
    if database_id is not None and made_from != database_id:
        return Finding("model", FAIL, f"{version} was made from another database", f"{train} on this one")
    if age > _MODEL_DAYS * 86400:
        return Finding("model", WARN, days, f"{train}, best every night")
    return Finding("model", OK, days)


def catalogue(found: Counts) -> Iterator[Finding]:
    """What the shop's data lack."""
    if not found.items:
        yield Finding("items", WARN, "none", "recsvc import items FILE")
        return
    yield _share("items without category", found.no_category, found.items, _FEW, "they are in no category's lists")
    yield _share("items without price", found.no_price, found.items, _FEW, "pages show them without one")
    advice = "normal for a new catalogue; else check that purchases name the same item_id as the catalogue"
    yield _share("active items never bought", found.never_bought, found.active, _MANY, advice)
    advice = "check that interactions name the same customer_id as the customers"
    yield _share("customers without history", found.no_history, found.customers, _MANY, advice)
    advice = "import the items they name; lists never show what the catalogue lacks"
    yield _share("interactions naming unknown items", found.unknown_items, found.interactions, 0.0, advice)


def events(found: Counts, now: float) -> Finding:
    """Whether interactions arrive."""
    if found.newest is None:
        return Finding("interactions", WARN, "none", "recsvc import interactions FILE, or POST /v1/interactions")
    age = now - found.newest / MICROSECONDS
    shown = f"{found.interactions:,}, the newest {max(age, 0) / 86400:.1f} days old"
    if age > _EVENT_DAYS * 86400:
        return Finding("interactions", WARN, shown, "check that the shop still sends them: POST /v1/interactions")
    return Finding("interactions", OK, shown)


def clock(newest: int | None, now: float) -> Finding:
    """Whether the clock may be right: not before this program, nor before what was already stored."""
    shown = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    advice = "set the clock (NTP): validity of offers, items and keys follows it"
    if now < _EARLIEST:
        return Finding("clock", FAIL, shown, advice)
    if newest is not None and newest / MICROSECONDS > now + _AHEAD_SECONDS:
        return Finding("clock", WARN, f"{shown}, behind the newest interaction", advice)
    return Finding("clock", OK, shown)


def key_findings(rows: list[Any], exposed: bool, key_file: bool, now: float) -> Iterator[Finding]:
    """Whether there are keys, whether they are used, whether one is about to end without another to follow it.

    Args:
        rows: as `keys.listing` returns them.
        exposed: the service binds an address that others can reach.
        key_file: an admin key comes from a file.
    """
    micro = now * MICROSECONDS
    live = [row for row in rows if not row.revoked_at and (row.expires_at is None or row.expires_at > micro)]
    if not live and not key_file:
        yield Finding("keys", FAIL if exposed else WARN, "none is live", "recsvc keys create --name NAME")
        return
    yield Finding("keys", OK, f"{len(live)} live{', one in a file' * key_file}")
    unused = [row for row in live if row.last_used_at is None and row.created_at < micro - _UNUSED_DAYS * keys.DAY]
    if unused:
        advice = "revoke what nobody needs: recsvc keys revoke ID"
        yield Finding("keys never used", WARN, _names(unused), advice)
    soon = [row for row in live if row.expires_at is not None and row.expires_at < micro + _SOON_DAYS * keys.DAY]
    # The old one of a rotation ends as it should.
    alone = [one for one in soon if not any(row.name == one.name and row not in soon for row in live)]
    if alone:
        yield Finding(
            "keys about to end", WARN, _names(alone), "recsvc keys rotate NAME, and give the callers the new one"
        )


def database_id(engine: sa.Engine) -> str:
    """Return the identity of the database."""
    return facts.read(engine).database_id


def _share(name: str, part: int, of: int, most: float, advice: str) -> Finding:
    shown = f"{part:,} of {of:,}" + (f" ({part / of:.1%})" if of else "")
    if part <= most * of:
        return Finding(name, OK, shown)
    return Finding(name, WARN, shown, advice)


def _names(rows: list[Any]) -> str:
    return ", ".join(f"{row.name} {row.key_id}" for row in rows[:5]) + (" …" if len(rows) > 5 else "")
