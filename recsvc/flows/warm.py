"""Warming the cache: the lists of customers who were active lately, made before they come back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from recsvc.engine.model import customer_row, hash_customer
from recsvc.errors import Unavailable
from recsvc.flows import lists
from recsvc.flows.customers import cache_prefix
from recsvc.flows.questions import Question
from recsvc.flows.shop import Shop
from recsvc.store import interactions

_SAMPLE = 200


@dataclass(frozen=True, slots=True)
class Warmed:
    """What was done. made: lists made now; there: lists that were cached and stand. bytes_each: what a customer takes
    in Redis, keys, stamp and revision included, on average."""

    made: int
    there: int
    seconds: float
    bytes_each: float


def warm(shop: Shop, customers: int, question: Question, done: Callable[[int], None]) -> Warmed:
    """Ask the lists of the known customers who did something last, newest first, and leave them in Redis.

    Args:
        customers: how many of those who did something last are looked at.
        done: called with how many customers were looked at.

    Raises:
        Unavailable: there is no Redis that answers, or no model.
    """
    snapshot = shop.current.snapshot
    if not shop.cache.ping():
        raise Unavailable("RECSVC_REDIS_URL: no Redis answers there; an embedded one runs with recsvc serve")
    if snapshot.model is None:
        raise Unavailable(f"{shop.settings.artifact_root}: there is no model; python -m training train")
    began, made, there = time.perf_counter(), 0, 0
    kept: list[tuple[str, str]] = []
    facts = snapshot.state.facts
    for number, customer_id in enumerate(interactions.lately_active(shop.engine, customers), 1):
        if customer_row(snapshot.model, hash_customer(customer_id, facts.customer_secret)) < 0:
            continue
        answer = lists.recommendations(shop, customer_id, question)
        if answer.degraded:
            raise Unavailable(f"{', '.join(answer.degraded)}: away; {made} lists were made before")
        made, there = made + (answer.cache == "miss"), there + (answer.cache != "miss")
        if len(kept) < _SAMPLE:
            kept.append((cache_prefix(facts, customer_id), question.ask(customer_id).name))
        done(number)
    weighed = [size for size in (shop.cache.weight(*one) for one in kept) if size]
    each = sum(weighed) / len(weighed) if weighed else 0.0
    return Warmed(made, there, time.perf_counter() - began, each)
