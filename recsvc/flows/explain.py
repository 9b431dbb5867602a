"""Why a customer sees an item in a placement, or why not: asked of the code that makes the list.

The list is made as for anybody who asks, then once more a thousand deep, to see where the item stands. Grounds are read
from the same masks that kept the item away, in the order in which the list looks at them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import msgspec
import numpy as np
import sqlalchemy as sa

from recsvc.concepts import BLENDED, KINDS
from recsvc.engine import eligibility, ranking
from recsvc.engine.arrange import relevance
from recsvc.engine.history import DAY, History
from recsvc.engine.lists import Listed
from recsvc.engine.query import Query
from recsvc.flows import customers, early, lists, placements, questions, replies
from recsvc.flows.answers import View
from recsvc.flows.current import Snapshot
from recsvc.flows.customers import Known
from recsvc.flows.questions import Question
from recsvc.flows.shop import Shop
from recsvc.intake import digest
from recsvc.store import interactions, live
from recsvc.store.database import MICROSECONDS

Fields = dict[str, Any]
_DEEP: Final = 1000
_AGAINST: Final = tuple(name for name, kind in KINDS.items() if kind.weight < 0 or name in {"review", "return"})
_GIVEN_BACK: Final = ("return", "refund", "cancel")


def explain(shop: Shop, customer_id: str, item_id: str, placement: str, limit: int) -> Fields:
    """Return why a customer sees an item among the first `limit` of a placement, or every ground why not, the decisive
    one first. Reading it records no exposure and keeps nothing.

    Raises:
        InvalidRequest: a placement that does not exist.
    """
    snapshot, now = shop.current.settle(shop.clock()), shop.clock()
    question = placements.settled(snapshot, Question(placement=placement, limit=limit))
    reply: Fields = {
        "customer_id": customer_id, "item_id": item_id, "placement": placement, "model_version": None,
        "generated_at": replies.moment(now), "source": "fallback", "fallback": "bestsellers", "shown": False,
        "slot": None, "rank": None, "score": None, "last_score": None, "made_by": None, "parts": [], "reasons": [],
        "rules": [], "absent": _of_catalogue(snapshot, item_id, customer_id, now),
    }  # fmt: skip
    if snapshot.model is None or snapshot.shelf is None:
        made = msgspec.json.decode(lists.recommendations(shop, customer_id, question).body)
        return _seen(reply, made, [_ground("below_rank", "the shop has no model yet and lists what sells")])
    view = View(shop, snapshot, snapshot.model, snapshot.shelf, now)
    view = early.opened(view, early.items(snapshot, customer_id, now))
    known = customers.look_up(shop.engine, snapshot, customer_id, now)
    made = lists.composed(view, known, customer_id, question)
    row = view.model.rows.get(item_id, -1)
    unprofiled = digest(customer_id) in snapshot.catalogue.unprofiled
    last: list[Fields] = []
    if row < 0:
        last = [_ground("not_in_model", "it came after the model was made; the next training run knows it")]
    else:
        reply["parts"], reply["rules"] = _parts(view, known.history, row), _rules(view, placement, row)
        reply["absent"] += _of_rules(view, placement, row) + _of_customer(view, known, customer_id, row, now)
        last = _of_place(view, known, customer_id, replace(question, limit=_DEEP), row, reply)
    if unprofiled:
        last.append(_ground("no_profile", "the customer wants no profile, so nothing of theirs counts"))
    return _seen(reply, made, last)


def _seen(reply: Fields, made: Fields, last: list[Fields]) -> Fields:
    """Return the reply, completed from the list that was made. last: the grounds that count where the item is absent
    and could be shown."""
    items = made["items"]
    reply |= {name: made[name] for name in ("model_version", "source", "fallback")}
    reply["last_score"] = items[-1]["score"] if items else None
    for one in items:
        if one["item_id"] == reply["item_id"]:
            reply |= {"shown": True, "slot": one["slot"], "rank": one["slot"], "score": one["score"],
                      "made_by": one["source"], "reasons": one["reasons"], "absent": []}  # fmt: skip
            return reply
    reply["absent"] += last
    return reply


def _ground(code: str, detail: str, **more: Any) -> Fields:
    return {"code": code, "detail": detail, "at": None, "rule_id": None, "item_id": None, **more}


def _of_catalogue(snapshot: Snapshot, item_id: str, customer_id: str, now: float) -> list[Fields]:
    """Return what the item itself, whoever asks, is not shown for."""
    item = snapshot.catalogue.items.get(item_id)
    if item is None:
        return [_ground("unknown_item", "the catalogue does not have it")]
    model = snapshot.model
    row = model.rows.get(item_id) if model else None
    karma = np.ones(1, np.float32) if model is None or row is None else model.a["karma"][[row]]
    facts = eligibility.Availability(*live.columns(snapshot.catalogue, [item_id]))
    told = {
        "inactive": ("it is switched off", None),
        "not_yet_available": ("its time begins later", item.available_from),
        "no_longer_available": ("its time is over", item.available_to),
        "out_of_stock": (f"its stock is {item.stock}", None),
        "bad_outcomes": ("too many of its orders ended badly", None),
    }
    found = [
        _ground(code, told[code][0], at=replies.iso(told[code][1]))
        for code, shut in eligibility.closed(facts, now, karma).items()
        if shut[0] and not (code == "not_yet_available" and item_id in early.items(snapshot, customer_id, now))
    ]
    return found + ([_ground("sensitive", "sensitive items are in nobody's list")] if item.sensitive else [])


def _rules(view: View, placement: str, row: int) -> list[Fields]:
    return [
        {"rule_id": one.rule.rule_id, "action": one.rule.action}
        for one in view.snapshot.plan(placement).rules
        if one.items[row]
    ]


def _of_rules(view: View, placement: str, row: int) -> list[Fields]:
    """Return what the placement and its rules keep the item away for."""
    plan = view.snapshot.plan(placement)
    found = []
    if plan.filtered is not None and not plan.filtered[row]:
        found.append(_ground("placement_filter", "the filter of the placement leaves it out"))
    for one in plan.rules:
        if one.rule.action == "exclude" and one.items[row]:
            found.append(_ground("rule", "a rule excludes it", rule_id=one.rule.rule_id))
    included = [one for one in plan.rules if one.rule.action == "include"]
    if included and not any(one.items[row] for one in included):
        found += [_ground("rule", "a rule includes others only", rule_id=one.rule.rule_id) for one in included]
    return found


def _of_customer(view: View, known: Known, customer_id: str, row: int, now: float) -> list[Fields]:
    """Return what the item is not shown to this customer for."""
    history, session, found = known.history, known.session, []
    if row in session.item_rows[session.in_cart]:
        at = float(session.at[session.item_rows == row][0])
        found.append(_ground("in_cart", "it lies in the cart", at=replies.moment(at)))
    at_row = np.flatnonzero(history.item_rows == row)
    if not len(at_row):
        return found
    entry = int(at_row[0])
    bought = float(history.last_at[entry])
    if row in known.settled and bought > now - DAY:
        found.append(_ground("bought_lately", "it was bought within a day", at=replies.moment(bought)))
    if history.unwanted[entry]:
        found.append(_unwanted(view, customer_id, row, float(history.rejected_at[entry])))
    return found


def _unwanted(view: View, customer_id: str, row: int, rejected_at: float) -> Fields:
    """Return what the customer did that speaks against an item, as far as the store tells."""
    rows: list[Any] = []
    with suppress(sa.exc.SQLAlchemyError):
        rows = interactions.against(view.shop.engine, customer_id, view.model.item_ids[row], _AGAINST)
    rows = [one for one in rows if one.kind != "review" or (one.stars or 3) < 3]
    if not rows:
        at = replies.moment(rejected_at) if rejected_at else None
        return _ground("disliked", "what is known of it speaks against it on balance", at=at)
    one = rows[0]
    why = f", because {one.reason}" if one.reason else f", {one.stars} stars" if one.stars else ""
    code = "returned" if one.kind in _GIVEN_BACK else "disliked"
    return _ground(code, f"last: {one.kind}{why}", at=replies.moment(one.occurred_at / MICROSECONDS))


def _of_place(
    view: View, known: Known, customer_id: str, question: Question, row: int, reply: Fields
) -> list[Fields]:  # fmt: skip
    """Return why an item that could be shown is not among the first, and put its rank and score into the reply."""
    if reply["absent"]:
        return []
    for one in lists.composed(view, known, customer_id, question)["items"]:
        if one["item_id"] == reply["item_id"]:
            reply["rank"], reply["score"] = one["slot"], one["score"]
            return [_ground("below_rank", f"it stands at {one['slot']}")]
    candidates, slots, asked = lists.standing(view, known, customer_id, question)
    inside = np.flatnonzero(candidates.rows == row)
    if not len(inside):
        return [_ground("below_rank", f"it is not among the first {max(asked.depth, len(candidates.rows))}")]
    reply["score"] = round(float(candidates.scores[inside[0]]), 6)
    return _dropped(view, candidates, slots, asked, int(inside[0]))


def _dropped(view: View, candidates: Listed, slots: Listed, asked: Query, inside: int) -> list[Fields]:
    """Return why a candidate got no slot."""
    if relevance(candidates.scores)[inside] < asked.min_relevance:
        return [_ground("below_relevance", f"below {asked.min_relevance:g} of the best score")]
    codes = questions.traits(view, candidates, asked).codes
    place = {row: position for position, row in enumerate(candidates.rows.tolist())}
    shown = [place[row] for row in slots.rows.tolist() if row in place]
    found = []
    for trait, most in asked.caps:
        mine = codes[trait][inside]
        same = [one for one in shown if codes[trait][one] == mine and mine >= 0]
        if len(same) < most:
            continue
        other = view.model.item_ids[candidates.rows[same[0]]]
        if trait == "parent":
            found.append(_ground("variant", "another variant of its parent stands before it", item_id=other))
        else:
            found.append(_ground("max_per", f"at most {most} of one {trait}", item_id=other))
    return found or [_ground("below_rank", "others stand before it")]


def _parts(view: View, history: History, row: int) -> list[Fields]:
    """Return what each generator adds to the blended score of an item, for somebody with a history; none without."""
    if not history.liked.any():
        return []
    proposed = ranking.propose(view.model, [history])[0]
    rows = np.array([row])
    said, added = ranking.said(view.model, history, proposed, rows), ranking.parts(view.model, history, proposed, rows)
    return [
        {"generator": name.value, "score": round(float(said[n, 0]), 6), "part": round(float(added[n, 0]), 6)}
        for n, name in enumerate(BLENDED)
    ]
