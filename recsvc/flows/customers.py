"""What is known of a customer at this moment: the history of the model and everything that came since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from recsvc.artifact import Array
from recsvc.concepts import gives_back, interaction_weight, rejects
from recsvc.engine.history import DAY, EMPTY, Events, History, merge
from recsvc.engine.model import Model, customer_row, hash_customer, hash_hex, own_history
from recsvc.engine.returns import cancelled, undone
from recsvc.engine.session import NOTHING, Session
from recsvc.flows.current import Snapshot
from recsvc.intake import digest
from recsvc.store import interactions
from recsvc.store.database import MICROSECONDS
from recsvc.store.facts import Facts

_LOOKING = ("view", "click", "wishlist", "add_to_cart")
_DECIDED = ("purchase", "add_to_cart", "dislike", "return")
_SESSION_SECONDS = 3 * DAY


@dataclass(frozen=True, slots=True)
class Known:
    """A customer now. row: −1 when the model does not know them. fresh: something came since the model.
    session: what they are looking at. settled: (r,) rows of items in the cart or bought within a day, which
    need no recommending. revision: commit number of the newest interaction since the model, 0 when there is none.
    away: the store could not be asked, so what came since the model is missing. beyond: ids of items that the model
    does not have and that they bought, put into the cart or turned down. looked_at: ids of those
    they look at just now."""

    row: int
    history: History
    fresh: bool
    revision: int
    session: Session
    settled: Array
    away: bool = False
    beyond: frozenset[str] = frozenset()
    looked_at: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """An interaction that is not stored, under the names of the store. occurred_at: microseconds since 1970."""

    item_id: str
    kind: str
    occurred_at: int
    stars: int | None = None
    reason: str | None = None
    order_id: str | None = None
    quantity: int | None = None


def look_up(
    engine: sa.Engine, snapshot: Snapshot, customer_id: str | None, now: float, doing: Sequence[Event] = ()
) -> Known:
    """Return what is known of a customer. Never fails: without the store, the model's word stands.

    Args:
        customer_id: None for somebody without a name.
        doing: what they did that is not stored.
    """
    model = snapshot.model
    assert model is not None
    if customer_id is None:
        return _with(model, Known(-1, EMPTY, False, 0, NOTHING, EMPTY.item_rows), list(doing), now)
    if digest(customer_id) in snapshot.catalogue.unprofiled:
        return Known(-1, EMPTY, False, 0, NOTHING, EMPTY.item_rows)
    row = customer_row(model, hash_customer(customer_id, snapshot.state.facts.customer_secret))
    history = own_history(model, row) if row >= 0 else EMPTY
    if snapshot.state.copied:  # not even asked: where nobody can say how long it takes, a list need not wait
        known = Known(row, history, False, 0, NOTHING, _bought_lately(history, now), away=True)
        return _with(model, known, list(doing), now) if doing else known
    try:
        recent = interactions.since(engine, customer_id, seen_until(snapshot))
    except sa.exc.SQLAlchemyError:
        known = Known(row, history, False, 0, NOTHING, _bought_lately(history, now), away=True)
        return _with(model, known, list(doing), now) if doing else known
    known = Known(row, history, False, recent.revision, NOTHING, history.item_rows)
    return _with(model, known, [*recent.rows, *doing], now)


def _with(model: Model, known: Known, rows: list[Any], now: float) -> Known:
    """Return what is known of somebody with what they did since."""
    events = _events(model, rows)
    history = merge(known.history, events, model.decay)
    session = _session(model, rows, now)
    settled = np.concatenate([session.item_rows[session.in_cart], _bought_lately(history, now)])
    looked_at = {o.item_id: o for o in rows if o.item_id not in model.rows and o.kind in _LOOKING and _lately(o, now)}
    beyond = frozenset(one.item_id for one in rows if one.kind in _DECIDED and one.item_id not in model.rows)
    return Known(
        known.row,
        history,
        bool(len(events.item_rows)),
        known.revision,
        session,
        settled,
        known.away,
        beyond,
        tuple(looked_at),
    )


def seen_until(snapshot: Snapshot) -> int:
    """Return the newest commit number the model has seen; 0 when it learnt from another database."""
    model = snapshot.model
    if model is None or model.database_id != snapshot.state.facts.database_id:
        return 0
    return model.last_revision


def cache_prefix(facts: Facts, customer_id: str) -> str:
    """Return the prefix of a customer's keys in Redis: hashed, and with a hash tag that keeps them on one node."""
    return f"recsvc:{facts.cache_epoch}:{{{hash_hex(customer_id, facts.customer_secret)}}}"


def _bought_lately(history: History, now: float) -> Array:
    return history.item_rows[history.last_at > now - DAY]


def _lately(one: Any, now: float) -> bool:
    return bool(one.occurred_at / MICROSECONDS > now - _SESSION_SECONDS)


def _session(model: Model, rows: list[Any], now: float) -> Session:
    """Return the items looked at, taken or turned down lately; the latest word on an item counts, so a removed one is
    not in the cart."""
    latest: dict[int, Any] = {}
    for one in sorted(rows, key=lambda one: -one.occurred_at):
        row = model.rows.get(one.item_id)
        if row is not None and _lately(one, now):
            latest.setdefault(row, one)
    day_ago = (now - DAY) * MICROSECONDS
    kept = {
        row: one for row, one in latest.items()
        if one.kind in _LOOKING or (one.kind == "purchase" and one.occurred_at > day_ago)
    }  # fmt: skip
    refused = {row: one for row, one in latest.items() if rejects(one.kind, one.reason)}
    return Session(
        np.array(list(kept), np.int32),
        np.array([one.occurred_at // MICROSECONDS for one in kept.values()], np.int64),
        np.array([one.kind == "add_to_cart" for one in kept.values()], bool),
        np.array([one.kind == "purchase" for one in kept.values()], bool),
        np.array(list(refused), np.int32),
        np.array([one.occurred_at // MICROSECONDS for one in refused.values()], np.int64),
    )


def _events(model: Model, rows: list[Any]) -> Events:
    """Return interactions as events in the rows of a model; items it does not know are left out."""
    known = [one for one in rows if one.item_id in model.rows]
    orders: dict[str, int] = {}
    codes = [
        -1 - position if one.order_id is None else orders.setdefault(one.order_id, len(orders))
        for position, one in enumerate(known)
    ]
    item_rows = np.array([model.rows[one.item_id] for one in known], np.int32)
    return Events(
        item_rows=item_rows,
        weights=np.array([interaction_weight(o.kind, o.stars, o.reason, model.weights) for o in known], np.float32),
        at=np.array([one.occurred_at // MICROSECONDS for one in known], np.int64),
        purchases=_kept(item_rows, known, np.array(codes, np.int64)),
        rejections=np.array([rejects(one.kind, one.reason) for one in known], bool),
        orders=np.array(codes, np.int64),
        returns=np.array([gives_back(one.kind) for one in known], bool),
    )


def _kept(rows: Array, known: list[Any], orders: Array) -> Array:
    """Return (e,) bool: the purchases, without those of which all was cancelled since the model."""
    bought = np.array([one.kind == "purchase" for one in known], bool)
    cancels = np.array([one.kind == "cancel" for one in known], bool)
    if not (bought.any() and cancels.any()):
        return bought
    by_time = np.array(sorted(np.flatnonzero(bought | cancels).tolist(), key=lambda i: known[i].occurred_at), np.int64)
    at = np.array([known[i].occurred_at for i in by_time.tolist()], np.int64)
    quantity = np.array([known[i].quantity or 1 for i in by_time.tolist()], np.int64)
    who, mine = np.zeros(len(by_time), np.int64), orders[by_time]
    matched = undone(who, rows[by_time], mine, at, quantity, bought[by_time])
    gone, _ = cancelled(who, rows[by_time], matched, quantity, bought[by_time], cancels[by_time])
    bought[by_time[gone]] = False
    return bought
