"""Rotation: what was shown to a customer on a channel lately stands back in the next list that asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recsvc.artifact import Array
from recsvc.engine import rotation
from recsvc.engine.model import hash_customer
from recsvc.flows.answers import View
from recsvc.flows.questions import Question
from recsvc.intake import digest


def penalty(view: View, customer_id: str | None, question: Question) -> Array | None:
    """Return (n,) float32, what is taken away from each item's relevance; None where nothing is."""
    key = _key(view, customer_id, question)
    if key is None:
        return None
    seconds = question.rotation_seconds
    shown = view.shop.shown.since(key, view.now - seconds)
    known = [(view.model.rows[one], view.now - at) for one, at in shown.items() if one in view.model.rows]
    if not known:
        return None
    rows, ages = zip(*known, strict=True)
    return rotation.penalty(view.model.n_items, np.array(rows), np.array(ages), question.rotation_rate, seconds)


def remember(view: View, customer_id: str | None, question: Question, items: Sequence[dict[str, Any]]) -> None:
    """Remember that these items of a reply are shown now, where rotation is asked for."""
    key = _key(view, customer_id, question)
    if key is not None:
        view.shop.shown.add(key, [one["item_id"] for one in items], view.now, question.rotation_seconds)


def _key(view: View, customer_id: str | None, question: Question) -> str | None:
    """Return where it is kept what a customer was shown on a channel; None where nothing is to be: without rotation,
    for nobody, and for who wants no profile."""
    state = view.snapshot.state
    if not question.rotation_rate or customer_id is None or digest(customer_id) in state.catalogue.unprofiled:
        return None
    high, low = hash_customer(customer_id, state.facts.customer_secret)
    return f"recsvc:{{{high:016x}{low:016x}}}:shown:{question.channel or ''}"
