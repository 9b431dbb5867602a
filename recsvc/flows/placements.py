"""Placements: the named places that ask for a list. Four are always there, others come into being by being put."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from recsvc.concepts import PLACEMENTS
from recsvc.engine.query import Query
from recsvc.errors import InvalidRequest
from recsvc.flows.answers import View
from recsvc.flows.current import Snapshot
from recsvc.flows.questions import Question
from recsvc.intake import shorten

_MOST_NAMED: Final = 20


def settled(snapshot: Snapshot, question: Question, path: str = "placement") -> Question:
    """Return a question with what its placement says where the caller said nothing.

    Args:
        path: how an error names the placement.

    Raises:
        InvalidRequest: the placement does not exist.
    """
    row = snapshot.state.rules.placements.get(question.placement)
    if row is None:
        if question.placement not in PLACEMENTS:
            raise unknown(question.placement, snapshot.state.rules.placements, path)
        return question
    caps = tuple((trait, int(most)) for trait, most in (one.split(":") for one in row.max_per))
    found: dict[str, Any] = {
        "diversity": row.diversity, "min_relevance": row.min_relevance, "max_per": caps, "fields": tuple(row.fields),
    }  # fmt: skip
    fresh = {name: value for name, value in found.items() if value and name not in question.said}
    return replace(question, **fresh, cache_seconds=row.cache_seconds)


def known(snapshot: Snapshot, placement: str) -> None:
    """Look whether a placement exists.

    Raises:
        InvalidRequest: it does not.
    """
    if placement not in PLACEMENTS and placement not in snapshot.state.rules.placements:
        raise unknown(placement, snapshot.state.rules.placements)


def planned(view: View, placement: str, asked: Query) -> Query:
    """Return a question with the plan of its placement, and narrowed by it."""
    plan = view.snapshot.plan(placement)
    both = plan.allowed if asked.among is None else asked.among
    if asked.among is not None and plan.allowed is not None:
        both = asked.among & plan.allowed
    return replace(asked, plan=plan, among=both)


def unknown(name: str, others: Iterable[str], path: str = "placement") -> InvalidRequest:
    """Return the error of a placement that does not exist; it names those that do, `others` beside the built-in."""
    known = list(dict.fromkeys([*PLACEMENTS, *others]))
    listed = ", ".join(known[:_MOST_NAMED]) + (", …" if len(known) > _MOST_NAMED else "")
    why = f"{shorten(name)}, must be one of {listed}"
    return InvalidRequest(f"{path}: {why}", {path: why})
