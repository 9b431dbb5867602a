"""Batches: a list for each of many customers, for mailings and exports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from recsvc import metrics
from recsvc.errors import RecsvcError
from recsvc.flows import customers, exposures, lists, placements, replies
from recsvc.flows.answers import View, at_hand, without_model
from recsvc.flows.current import Snapshot
from recsvc.flows.questions import Question
from recsvc.flows.shop import Shop

CHUNK = 100
Line = tuple[str | None, Question] | RecsvcError
"""A customer and what is asked for them, or why the line could not be read."""


def lines(shop: Shop, asked: Iterable[Line]) -> Iterator[bytes]:
    """Yield the replies in order, a line each, some at a time: as much is held as one chunk needs.

    The model and the catalogue are those of the moment at which a chunk begins.
    """
    place, rest = 0, iter(asked)
    while chunk := list(islice(rest, CHUNK)):
        found = []
        snapshot, now = at_hand(shop)
        view = None
        if snapshot.model is not None and snapshot.shelf is not None:
            view = View(shop, snapshot, snapshot.model, snapshot.shelf, now)
        for one in (_settled(snapshot, line) for line in chunk):
            if isinstance(one, RecsvcError):
                error = {"code": next(iter(one.fields), "body"), "message": one.message}
                found.append(replies.encode({"index": place, "error": error}))
            else:
                customer_id, question = one
                if view is None:
                    reply, _ = without_model(shop, snapshot, now, question.ask(customer_id))
                else:
                    reply = _reply(view, customer_id, question)
                metrics.LISTS.labels(reply["source"], reply["fallback"] or "none").inc()
                body = replies.encode(reply)
                exposures.expose(shop, body, replies.etag(body), "miss", question.channel)
                found.append(body)
            place += 1
        yield b"".join(body + b"\n" for body in found)


def _settled(snapshot: Snapshot, line: Line) -> Line:
    if isinstance(line, RecsvcError):
        return line
    try:
        return line[0], placements.settled(snapshot, line[1])
    except RecsvcError as error:
        return error


def _reply(view: View, customer_id: str | None, question: Question) -> dict[str, Any]:
    known = customers.look_up(view.shop.engine, view.snapshot, customer_id, view.now)
    return lists.composed(view, known, customer_id, question)
