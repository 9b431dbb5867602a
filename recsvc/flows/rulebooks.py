"""From the rows that a merchandiser wrote to the rules and filters of one model."""

from __future__ import annotations

from typing import Any

import structlog

from recsvc.concepts import PLACEMENTS
from recsvc.engine import filters, rules
from recsvc.engine.filters import Filter
from recsvc.engine.rules import Rule, Rulebook
from recsvc.engine.traits import Traits
from recsvc.errors import InvalidRequest
from recsvc.store.database import MICROSECONDS
from recsvc.store.rules import Rules

log = structlog.get_logger("recsvc.rules")


def book(decided: Rules, traits: Traits, now: float) -> Rulebook:
    """Return the book of what was decided, for the items of a model at `now` (epoch seconds)."""
    found = [_rule(row) for row in decided.rules.values()]
    wanted = {name: _read(row.filters, f"placement {name}") for name, row in decided.placements.items()}
    return rules.book(
        [one for one in found if one is not None], {name: one for name, one in wanted.items() if one}, traits, now
    )


def through(decided: Rules, placement: str, now: float) -> Filter:
    """Return what a placement and its rules let through, for a shop without a model: no item is looked at yet."""
    if placement not in PLACEMENTS and placement not in decided.placements:
        return filters.EVERYTHING
    mine = [
        one for one in map(_rule, decided.rules.values())
        if one is not None and one.placement in {None, placement} and one.starts_at <= now < one.ends_at
    ]  # fmt: skip
    parts = [Filter("not", parts=(one.match,)) for one in mine if one.action == "exclude"]
    included = tuple(one.match for one in mine if one.action == "include")
    if included:
        parts.append(Filter("any", parts=included))
    settings = decided.placements.get(placement)
    own = _read(settings.filters, f"placement {placement}") if settings is not None else None
    return Filter("all", parts=(*parts, *([own] if own is not None else [])))


def _rule(row: Any) -> Rule | None:
    match = _read(row.match, f"rule {row.rule_id}")
    if match is None:
        return None
    start = -float("inf") if row.starts_at is None else row.starts_at / MICROSECONDS
    end = float("inf") if row.ends_at is None else row.ends_at / MICROSECONDS
    factor, slot = row.factor or 1.0, row.slot or 0
    return Rule(row.rule_id, row.placement, row.action, match, factor, slot, start, end, row.priority)


def _read(value: Any, whose: str) -> Filter | None:
    """Return a stored filter; None, and a line in the log, when another version of this program wrote it."""
    try:
        return filters.parse(value)
    except InvalidRequest as error:
        log.error("a filter that cannot be read has no effect", of=whose, why=error.message)
        return None
