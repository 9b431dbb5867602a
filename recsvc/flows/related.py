"""Lists around an item: similar ones, and those bought together with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from recsvc.concepts import Source
from recsvc.engine import lists, popular
from recsvc.engine.eligibility import Shelf
from recsvc.engine.lists import Listed
from recsvc.engine.model import Model
from recsvc.engine.popular import Window
from recsvc.errors import NotFound
from recsvc.flows import customers, newcomers, questions, replies, texts
from recsvc.flows.answers import View, answer
from recsvc.flows.customers import Known
from recsvc.flows.popular import among
from recsvc.flows.questions import Question
from recsvc.flows.replies import Answer
from recsvc.flows.shop import Shop
from recsvc.intake import shorten

_POPULAR_DAYS = 90


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of list around an item: its name, the engine's function, and its words in `texts.TEXTS` (None: those
    of the reason's code)."""

    name: str
    find: Callable[[Model, int, Shelf, int], Listed]
    text: str | None = None


_SIMILAR = Kind("similar", lists.similar, texts.ALSO_BOUGHT)
_TOGETHER = Kind("bought_together", lists.bought_together)


def similar(shop: Shop, item_id: str, customer_id: str | None, question: Question) -> Answer:
    """Return items whose buyers are most like this item's buyers."""
    return _around(shop, _SIMILAR, item_id, customer_id, question)


def bought_together(shop: Shop, item_id: str, customer_id: str | None, question: Question) -> Answer:
    """Return items found in the same order."""
    return _around(shop, _TOGETHER, item_id, customer_id, question)


def _around(shop: Shop, kind: Kind, item_id: str, customer_id: str | None, question: Question) -> Answer:
    """Return a list around an item; what sells in its category where too few customers have bought it.

    Args:
        question: its limit, exclude, wanted, fields and locale.

    Raises:
        NotFound: the catalogue does not have the item, or not any more.
    """
    if item_id not in shop.current.snapshot.catalogue.items:
        raise NotFound(f"item_id: {shorten(item_id)} is not in the catalogue", {"item_id": "not in the catalogue"})

    def make(view: View) -> tuple[dict[str, Any], Known | None]:
        known = None
        if customer_id is not None:
            known = customers.look_up(shop.engine, view.snapshot, customer_id, view.now)
        fresh = _fresh(view, known, item_id, question)
        _, places = newcomers.slots(len(fresh), 0, question.limit)
        shelf = _narrowed(view, _without_refused(view.shelf, known), question)
        limit = question.limit - len(places)
        row = view.model.rows.get(item_id)
        listed = None if row is None else kind.find(view.model, row, shelf, limit)
        text, source, fallback = kind.text, Source.PERSONAL, None
        if listed is None or not len(listed.rows):
            listed, text = _popular(view, shelf, item_id, limit), texts.POPULAR_IN
            source, fallback = Source.FALLBACK, "bestsellers"
        items = replies.items_of(view.snapshot, listed, text=text, locale=question.locale)
        told = [replies.newcomer(view.snapshot, one, share, question.locale) for one, share in fresh[: len(places)]]
        items = questions.told(question, newcomers.joined(items, told, places, 0))
        reply = replies.envelope(view.snapshot, view.now, kind.name, customer_id, source, fallback, items)
        return {**reply, "item_id": item_id}, known

    return answer(shop, replace(question.ask(customer_id), placement=kind.name, item_id=item_id), make)


def _fresh(view: View, known: Known | None, item_id: str, question: Question) -> list[tuple[str, float]]:
    """Return the newcomers that share words with an item, and how near they are."""
    found, item = view.snapshot.newcomers, view.snapshot.catalogue.items.get(item_id)
    weights = dict.fromkeys(newcomers.words(item), 1.0)
    left_out = {*question.exclude, item_id, *(known.beyond if known is not None else ())}
    return newcomers.chosen(found, weights, question.wanted, left_out, view.snapshot.rules, "item_page")


def _narrowed(view: View, shelf: Shelf, question: Question) -> Shelf:
    asked = questions.query(view, question)
    if asked.among is None and not len(asked.without):
        return shelf
    is_open = shelf.open.copy() if asked.among is None else shelf.open & asked.among
    is_open[asked.without] = False
    return replace(shelf, open=is_open)


def _without_refused(shelf: Shelf, known: Known | None) -> Shelf:
    """Return the shelf without what this customer turned down: it is not shown to them beside something else."""
    if known is None:
        return shelf
    is_open = shelf.open.copy()
    is_open[known.history.item_rows[known.history.unwanted]] = False
    return replace(shelf, open=is_open)


def _popular(view: View, shelf: Shelf, item_id: str, limit: int) -> Listed:
    """Return what sells in the narrowest category of an item in which something else sells."""
    item = view.snapshot.catalogue.items.get(item_id)
    listed, sales = None, view.shop.current.lately.of(view.model)
    for category in [*reversed(item.categories if item is not None else []), None]:
        chosen = among(view, category)
        if item_id in view.model.rows:
            chosen[view.model.rows[item_id]] = False
        listed = popular.bestsellers(sales, shelf, chosen, Window(view.now, _POPULAR_DAYS), limit)
        if len(listed.rows):
            break
    assert listed is not None
    return listed
