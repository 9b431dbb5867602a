"""Karma: what stands between a customer and the shop, and what became of an item's orders; each with its parts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from recsvc.engine import karma as engine
from recsvc.engine.refusals import PAUSED_AT
from recsvc.engine.standing import Answer, Happened, Standing, customer
from recsvc.errors import NotFound, Unavailable
from recsvc.flows.replies import moment
from recsvc.flows.shop import Shop
from recsvc.store import karma
from recsvc.store.database import MICROSECONDS, reading

Fields = dict[str, Any]


def standing(source: sa.Engine | sa.Connection, customer_id: str, now: float) -> Standing:
    """Return a customer's karma at `now` (epoch seconds); of somebody unknown it is 0.

    Args:
        source: an engine, or a connection whose transaction it shall be read in.

    Raises:
        sa.exc.SQLAlchemyError: the database is away.
    """
    if isinstance(source, sa.Connection):
        return _standing(source, customer_id, now)
    with reading(source) as connection:
        return _standing(connection, customer_id, now)


def _standing(connection: sa.Connection, customer_id: str, now: float) -> Standing:
    happened = [Happened(kind, at / MICROSECONDS, ref) for kind, at, ref in karma.happened(connection, customer_id)]
    answers = [
        Answer(kind, score, at / MICROSECONDS, about)
        for kind, score, at, about in karma.answers(connection, customer_id)
    ]
    return customer(happened, answers, now)


def of_customer(shop: Shop, customer_id: str) -> Fields:
    """Return a customer's karma and its parts, newest first; of somebody unknown it is 0.

    Raises:
        Unavailable: the database is away.
    """
    now = shop.clock()
    try:
        found = standing(shop.engine, customer_id, now)
    except sa.exc.SQLAlchemyError as error:
        raise Unavailable("the database cannot be read now; ask again") from error
    return {
        "customer_id": customer_id, "karma": round(found.value, 3), "open_complaint": found.open_complaint,
        "promotions_paused": found.paused, "paused_at": PAUSED_AT, "generated_at": moment(now),
        "parts": [
            {"code": one.code, "occurred_at": moment(one.at), "points": round(one.points, 3), "ref": one.ref,
             "resolved_at": None if one.resolved_at is None else moment(one.resolved_at)}
            for one in found.parts
        ],
    }  # fmt: skip


def of_item(shop: Shop, item_id: str) -> Fields:
    """Return an item's karma in the version in use, and what it was made from; nulls where that version does not say.

    Raises:
        NotFound: no such item.
    """
    snapshot, now = shop.current.settle(shop.clock()), shop.clock()
    item, model = snapshot.catalogue.items.get(item_id), snapshot.model
    row = model.rows.get(item_id) if model else None
    if item is None and row is None:
        raise NotFound(f"item_id: {item_id} is not in the catalogue")
    multiplier = 1.0 if model is None or row is None else round(float(model.a["karma"][row]), 4)
    reply: Fields = {
        "item_id": item_id, "karma": None, "multiplier": multiplier, "proposed": multiplier > 0,
        "code": None if multiplier > 0 else "bad_outcomes", "parts": None,
        "model_version": model.version if model else None, "generated_at": moment(now),
    }  # fmt: skip
    if model is None or row is None:
        return reply
    parameters = model.manifest["parameters"].get("karma", {})
    parts = engine.parts(model.a, parameters, row)
    if parts is None:
        return reply
    category = item.categories[-1] if item is not None and item.categories else None
    return reply | {"karma": round(parts.rate, 4), "parts": _of(parts, engine.limits(parameters), category)}


def _of(parts: engine.Parts, limits: engine.Limits, category: str | None) -> Fields:
    return {
        "orders": round(parts.orders, 2), "category": category, "category_rate": round(parts.category_rate, 4),
        "defect_rate": round(parts.defect_rate, 4), "shrink": limits.shrink, "force": limits.force,
        "banned_rate": limits.banned_rate, "banned_orders": limits.banned_orders,
        "outcomes": [
            {"kind": one.kind, "reason": one.reason, "count": round(one.count, 2), "weight": one.weight,
             "defect": one.defect}
            for one in parts.outcomes
        ],
    }  # fmt: skip
