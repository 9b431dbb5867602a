"""A customer's own list: recommendations for a placement."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import BLENDED, Source
from recsvc.engine import lists, rules
from recsvc.engine.arrange import arrange, relevance
from recsvc.engine.lists import Listed
from recsvc.engine.query import ENOUGH, POOL, Query
from recsvc.flows import customers, early, ladder, newcomers, placements, questions, replies, rotation, tied
from recsvc.flows.answers import View, answer
from recsvc.flows.customers import Event, Known
from recsvc.flows.ladder import Foot
from recsvc.flows.offers import Asked
from recsvc.flows.questions import Question
from recsvc.flows.replies import Answer
from recsvc.flows.shop import Shop


def recommendations(shop: Shop, customer_id: str | None, question: Question, doing: tuple[Event, ...] = ()) -> Answer:
    """Return the personal list of a customer, or of a session that has no name.

    Args:
        doing: what they did that nobody has stored; it counts for this answer only.

    Raises:
        InvalidRequest: a placement that does not exist.
    """
    question = placements.settled(shop.current.snapshot, question)
    alone = early.items(shop.current.snapshot, customer_id, shop.clock())

    def make(view: View) -> tuple[dict[str, Any], Known]:
        known = customers.look_up(shop.engine, view.snapshot, customer_id, view.now, doing)
        return composed(view, known, customer_id, question), known

    # What is open to one customer alone is looked up for each answer.
    return answer(shop, question.ask(customer_id, keep=not doing and not alone), make)


def composed(view: View, known: Known, customer_id: str | None, question: Question) -> dict[str, Any]:
    """Return the reply to a question about somebody of whom so much is known."""
    alone = early.items(view.snapshot, customer_id, view.now)
    view = early.opened(view, alone)
    fresh = _fresh(view, known, question, alone)
    before, places = newcomers.slots(len(fresh), question.offset, question.offset + question.limit)
    inner = replace(question, offset=question.offset - before, limit=question.limit - len(places))
    asked = placements.planned(view, question.placement, questions.query(view, inner))
    asked = replace(asked, penalty=rotation.penalty(view, customer_id, question))
    chosen = _choose(view, known, customer_id, asked)
    listed = _arranged(view, chosen, asked, known, customer_id)
    if chosen.at_hand and len(listed.rows) < asked.limit and relevance(chosen.listed.scores)[-1] >= asked.min_relevance:
        chosen = _choose(view, known, customer_id, asked, at_hand=False)
        listed = _arranged(view, chosen, asked, known, customer_id)
    items = replies.items_of(view.snapshot, listed, known.history, locale=question.locale)
    if question.explain:
        _explain(view, known, listed, items)
    rotation.remember(view, customer_id, question, items)
    if places:
        told = [replies.newcomer(view.snapshot, one, share, question.locale) for one, share in fresh[before:]]
        items = newcomers.joined(items, told[: len(places)], places, question.offset)
    items = questions.told(question, items)
    if question.include_offers:
        cart = tuple(view.model.item_ids[row] for row in known.session.item_rows[known.session.in_cart].tolist())
        tied.tie(view, customer_id, Asked(channel=question.channel, cart=cart, locale=question.locale), items)
    return replies.envelope(
        view.snapshot, view.now, question.placement, customer_id, chosen.source, chosen.fallback, items, question.offset
    )


def _explain(view: View, known: Known, listed: Listed, items: list[dict[str, Any]]) -> None:
    """Add to each item what every generator gave to its blended score, before the karma of the item."""
    given = lists.parts(view.model, known.history, listed.rows)
    for column, item in enumerate(items):
        item["parts"] = {
            name.value: round(float(part), 6) for name, part in zip(BLENDED, given[:, column], strict=True)
        }


def standing(view: View, known: Known, customer_id: str | None, question: Question) -> tuple[Listed, Listed, Query]:
    """Return the candidates of a question, the slots they take, and what was asked: for saying why an item is shown or
    not."""
    asked = placements.planned(view, question.placement, questions.query(view, question))
    chosen = _choose(view, known, customer_id, asked, at_hand=False)
    listed = rules.weighted(chosen.listed, asked.plan, chosen.pool)
    return listed, _arranged(view, chosen, asked, known, customer_id), asked


def _fresh(view: View, known: Known, question: Question, alone: frozenset[str]) -> list[tuple[str, float]]:
    """Return the newcomers that have a slot in a list, and how near they are. None where a cap, a least relevance or a
    pin says what may stand in a slot, and none for somebody of whom nothing is known."""
    found, book = view.snapshot.newcomers, view.snapshot.rules
    catalogue = view.snapshot.catalogue.items
    theirs = {one: catalogue[one] for one in sorted(alone) if one not in view.model.rows}
    found = replace(found, items={**theirs, **found.items}) if theirs else found
    strict = question.max_per or question.min_relevance or book.plan(question.placement).pins
    if not found.items or strict or not known.history.liked.any():
        return []
    taste = newcomers.taste(view.snapshot.catalogue, view.model, known.history)
    exclude = {*question.exclude, *known.beyond}
    return newcomers.chosen(found, taste, question.wanted, exclude, book, question.placement)


def _seed(view: View, known: Known, customer_id: str | None) -> int:
    """Return where chance begins: another place for every customer, version, revision and hour, and the same for
    every page of one list."""
    text = json.dumps([customer_id, view.snapshot.version, known.revision, int(view.now // 3600)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _arranged(view: View, chosen: _Chosen, asked: Query, known: Known, customer_id: str | None) -> Listed:
    """Return the page that is asked for, as the rules of the placement have it."""
    if asked.plain:
        return chosen.listed.take(np.arange(asked.offset, min(asked.last, len(chosen.listed.rows))))
    listed, pool = rules.weighted(chosen.listed, asked.plan, chosen.pool), chosen.pool
    rng = np.random.default_rng(_seed(view, known, customer_id) if asked.explore else 0)
    pins: dict[int, int] = {}
    if asked.plan.pins:
        pins = rules.pinned(asked.plan, listed.rows, _may_show(view, known, asked), view.model.by_popularity)
    if not pins:
        return arrange(listed, asked, questions.traits(view, listed, asked), rng, pool)
    assert view.snapshot.traits is not None
    parent = view.snapshot.traits.parent
    # A variant of what is pinned has the same slot, and that is taken.
    others = ~np.isin(parent[listed.rows], parent[list(pins.values())])
    rest, pool = listed.take(np.flatnonzero(others)), int(np.count_nonzero(others[:pool]))
    whole = replace(asked, offset=0, limit=asked.last)
    found = arrange(rest, whole, questions.traits(view, rest, whole), rng, pool)
    return rules.placed(found, pins, listed, slice(asked.offset, asked.last))


def _may_show(view: View, known: Known, asked: Query) -> Array:
    """Return (n,) bool: what a rule may bring up for this customer."""
    may = view.shelf.public.copy()
    if asked.among is not None:
        may &= asked.among
    may[np.concatenate([asked.without, known.settled, known.history.item_rows[known.history.unwanted]])] = False
    return may


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Candidates, how many of them are arranged, how they came to be, and the rung when it is not from this customer's
    own history. at_hand: whether there may be more than these, which were there already."""

    listed: Listed
    pool: int
    source: Source
    fallback: str | None = None
    at_hand: bool = False


def _choose(view: View, known: Known, customer_id: str | None, asked: Query, at_hand: bool = True) -> _Chosen:
    """Return the candidates of a list, by the first of the ways that has any.

    Args:
        at_hand: whether the finished list alone will do where it is long enough.
    """
    without = np.concatenate([asked.without, known.settled])
    shelf, done = view.shelf, None
    if asked.among is not None:
        shelf = replace(shelf, open=shelf.open & asked.among)
    if known.row >= 0 and not known.fresh:
        depth = asked.last if asked.plain else view.model.n_items
        done = lists.visible(lists.finished(view.model, known.row), shelf.public, without, depth)
        if lists.names(done, shelf.sensitive):  # it became so since; the reasons of a list made now do without
            done = None
        if done is not None and at_hand and len(done.rows) >= asked.enough:
            return _Chosen(done, len(done.rows), Source.PERSONAL, at_hand=not asked.plain)
    if known.history.liked.any():
        source = Source.SESSION if customer_id is None else Source.LIVE if known.fresh else Source.PERSONAL
        listed = lists.personal(view.model, known.history, shelf, without, asked.depth, known.session, view.now)
        if done is not None:
            listed = done.then(listed)
        pool = len(done.rows) if done is not None and len(done.rows) >= ENOUGH else min(len(listed.rows), POOL)
        return _Chosen(listed, pool, source)
    # What they turned down is all we know of them; it is kept away from them on the way down the ladder too.
    without = np.concatenate([without, known.history.item_rows[known.history.unwanted]])
    foot = Foot(customer_id, asked.among, without, known.looked_at)
    listed, rung = ladder.climb(view, foot, asked.depth)
    return _Chosen(listed, min(len(listed.rows), POOL), Source.FALLBACK, rung)
