"""Terms: from the stored row of an offer to what the engine judges it by."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from recsvc.concepts import PROMOTIONS
from recsvc.engine import conditions
from recsvc.engine.conditions import FIELDS, OPERATORS
from recsvc.engine.refusals import Budget, Terms
from recsvc.store.database import MICROSECONDS

__all__ = ["FIELDS", "OPERATORS"]  # the language, for the document

UNITS: Final = ("usage", "spend")
COUNTS: Final = ("issued", "redeemed")
PERIODS: Final = ("total", "day", "week", "month")
LOCALE: Final = r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,4}$"
_LOCALE: Final = re.compile(LOCALE[:-1] + r"\Z")


def checked_condition(value: object, path: str) -> Any:
    """Return `value`, when it is a condition.

    Raises:
        InvalidRequest: names the place in it.
    """
    conditions.parse(value, path)
    return value


def is_locale(text: str) -> bool:
    """Whether a text is a language tag."""
    return _LOCALE.match(text) is not None


def of(row: Any) -> Terms:
    """Return the terms of a stored offer."""
    condition = None if row.eligibility is None else conditions.parse(row.eligibility)
    return Terms(
        row.offer_id, row.kind, row.kind in PROMOTIONS, bool(row.active),
        _seconds(row.starts_at, float("-inf")), _seconds(row.ends_at, float("inf")), frozenset(row.channels or ()),
        None if condition is None else conditions.compiled(condition), condition,
        None if row.budget is None else Budget(**row.budget), row.capacity, row.max_per_customer, row.cooldown_days,
        row.max_shown, row.exclusive_group, bool(row.stackable), row.priority or 0, row.cost_cents or 0,
    )  # fmt: skip


def book(rows: Iterable[Any]) -> tuple[Terms, ...]:
    """Return the terms of stored offers."""
    return tuple(of(row) for row in rows)


def periods(now: float) -> dict[str, str]:
    """Return the name of the running period of each of `PERIODS`, as usage is counted under it; `total` is empty."""
    at = datetime.fromtimestamp(now, UTC)
    year, week, _ = at.isocalendar()
    return {"total": "", "day": f"{at:%Y-%m-%d}", "week": f"{year}-W{week:02}", "month": f"{at:%Y-%m}"}


def _seconds(micro: Any, otherwise: float) -> float:
    return otherwise if micro is None else float(micro) / MICROSECONDS
