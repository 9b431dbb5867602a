"""Interactions, surveys and merges: append, acknowledged only after the commit, then tell Redis, so that the next
list has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from recsvc import metrics
from recsvc.engine.channels import CONTACTS
from recsvc.flows import announce
from recsvc.flows.shop import Shop
from recsvc.intake import derived_id, digest
from recsvc.store import customers, interactions, replays, sessions, surveys
from recsvc.store.database import MICROSECONDS

# Fields that no query asks for are kept together.
_EMPTY: dict[str, Any] = dict.fromkeys(interactions.COLUMNS)
_DETAILS = ("subject", "ref", "recommendation_id", "slot", "campaign_id", "send_id", "properties")

Found = TypeVar("Found")


class Receipt(msgspec.Struct):
    """What became of what was sent. rejected: what was refused, by its place in the request."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[dict[str, Any]] = []


@dataclass(frozen=True, slots=True)
class Replay:
    """An idempotency key and what it came with: method, path and body."""

    key: str
    body: bytes


def record(shop: Shop, given: list[dict[str, Any]], rejected: list[dict[str, Any]], replay: Replay | None) -> Receipt:
    """Store checked interactions in one commit, each once however often it is sent, and return after it.

    Args:
        given: fields of the API's object that were given; `occurred_at` an aware datetime.
        rejected: what the check refused before; part of the receipt, and so of its replay.

    Raises:
        Unavailable: nothing was kept.
        Conflict: the idempotency key was used with another body.
    """
    rows = rows_of(given)
    news: dict[str, int] = {}

    def write(connection: sa.Connection) -> Receipt:
        new = interactions.append(connection, rows)
        for row in rows:
            customer_id, revision = row["customer_id"], new.get(row["digest"])
            if customer_id is not None and revision is None:
                # Sent again: perhaps because we ended between the commit and the announcement.
                revision = interactions.newest_in(connection, customer_id, 0)
            if customer_id is not None and revision is not None:
                news[customer_id] = max(news.get(customer_id, 0), revision)
        customers.withdraw(connection, _withdrawn([row for row in rows if row["digest"] in new]))
        return Receipt(len(new), len(rows) - len(new), rejected)

    receipt = once(shop, write, replay, Receipt)
    metrics.INTERACTIONS.labels("accepted").inc(receipt.accepted)
    metrics.INTERACTIONS.labels("duplicate").inc(receipt.duplicates)
    metrics.INTERACTIONS.labels("rejected").inc(len(receipt.rejected))
    announce.tell(shop, news)
    return receipt


def _withdrawn(rows: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Return customer → the channels they unsubscribed from: the one that is named, else all that go out by
    themselves."""
    found: dict[str, set[str]] = {}
    for row in rows:
        if row["kind"] == "unsubscribe" and row["customer_id"] is not None:
            found.setdefault(row["customer_id"], set()).update((row["channel"],) if row["channel"] else CONTACTS)
    return found


def record_surveys(
    shop: Shop, given: list[dict[str, Any]], rejected: list[dict[str, Any]], replay: Replay | None
) -> Receipt:
    """Store checked survey answers in one commit, each once. Raises as `record`."""
    rows = []
    for one in given:
        fields = {name: value for name, value in one.items() if value is not None and name != "survey_id"}
        name = one.get("survey_id") or derived_id({"survey": fields}, 0)
        rows.append({
            "digest": digest(name), "occurred_at": round(one["occurred_at"].timestamp() * MICROSECONDS),
            **{field: one.get(field) for field in ("customer_id", "kind", "score", "channel", "comment", "about")},
        })  # fmt: skip

    def write(connection: sa.Connection) -> Receipt:
        new = surveys.append(connection, rows)
        return Receipt(new, len(rows) - new, rejected)

    return once(shop, write, replay, Receipt)


def merge(shop: Shop, customer_id: str, session_id: str, replay: Replay | None) -> dict[str, int]:
    """Let all that an anonymous session did, and will do, count for a customer. Returns how much it did so far.

    Raises:
        Conflict: the session belongs to another customer.
        Unavailable: nothing was kept.
    """
    news: dict[str, int] = {}
    # The merge is a commit of its own number, so that every cached list of the customer is seen to be old. No id of a
    # caller holds NUL, so none can stand where this one belongs.
    row = rows_of([{
        "interaction_id": f"\0merge:{session_id}", "customer_id": customer_id, "kind": "merge", "occurred_at": None,
        "session_id": session_id,
    }], shop.clock())[0]  # fmt: skip

    def write(connection: sa.Connection) -> Receipt:
        count = interactions.of_session(connection, session_id)
        new = interactions.append(connection, [row])
        for revision in new.values():
            sessions.assign(connection, session_id, customer_id, revision)
            news[customer_id] = revision
        if not new:
            sessions.assign(connection, session_id, customer_id, 0)
        return Receipt(count - (not new), int(not new), [])

    receipt = once(shop, write, replay, Receipt)
    announce.tell(shop, news)
    return {"merged": receipt.accepted, "already": receipt.duplicates}


def once(shop: Shop, write: Callable[[sa.Connection], Found], replay: Replay | None, kind: type[Found]) -> Found:
    """Run `write` in a shared commit; under an idempotency key only the first time, later its kept answer.

    Raises:
        Conflict: the idempotency key was used with another body. Unavailable: nothing was kept.
    """

    def work(connection: sa.Connection) -> Found:
        if replay is None:
            return write(connection)
        kept = replays.find(connection, replay.key, replay.body)
        if kept is not None:
            return msgspec.json.decode(kept, type=kind)
        found = write(connection)
        replays.keep(connection, replay.key, replay.body, msgspec.json.encode(found).decode(), shop.clock())
        return found

    found: Found = shop.write(work)
    return found


def rows_of(given: list[dict[str, Any]], now: float = 0.0) -> list[dict[str, Any]]:
    """Return the rows of the store. Equal lines of one request that came without an id stay as many as they were."""
    rows: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for interaction in given:
        fields = {name: value for name, value in interaction.items() if value is not None}
        name = fields.pop("interaction_id", None)
        if name is None:
            plain = derived_id(fields, 0)
            seen[plain] = seen.get(plain, -1) + 1
            name = derived_id(fields, seen[plain])
        at = fields["occurred_at"].timestamp() if fields.get("occurred_at") else now
        details = {name: fields[name] for name in _DETAILS if name in fields}
        row = {**_EMPTY, **{name: value for name, value in fields.items() if name in _EMPTY}}
        row |= {"digest": digest(name), "details": details or None, "occurred_at": round(at * MICROSECONDS)}
        rows.append(row)
    return rows
