"""Terms: from the stored row of an offer to what the engine judges it by."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from recsvc.concepts import CHANNELS, PROMOTIONS
from recsvc.engine import conditions
from recsvc.engine.conditions import FIELDS, OPERATORS
from recsvc.engine.refusals import Budget, Terms
from recsvc.errors import InvalidRequest
from recsvc.intake import MAX_INT, shorten
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


def checked_budget(value: object) -> dict[str, Any]:
    """Return a budget with its defaults filled in.

    Raises:
        InvalidRequest: names the field of it.
    """
    if not isinstance(value, dict):
        raise wrong("budget", "must be an object of unit, counts, limit and period")
    found = {"counts": "issued", "period": "total", **value}
    for name, among in (("unit", UNITS), ("counts", COUNTS), ("period", PERIODS)):
        if found.get(name) not in among:
            raise wrong(f"budget.{name}", f"must be one of {', '.join(among)}")
    limit = found.get("limit")
    if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= MAX_INT:
        raise wrong("budget.limit", f"must be a whole number from 0 to {MAX_INT}")
    unknown = next((name for name in found if name not in {"unit", "counts", "limit", "period"}), None)
    if unknown is not None:
        raise wrong(f"budget.{unknown[:64]}", "is not a known field")
    return found


def check(row: dict[str, Any]) -> None:
    """Look whether the fields of an offer that a file holds are what the API would take.

    Raises:
        InvalidRequest: names the field.
    """
    if row.get("eligibility") is not None:
        conditions.parse(row["eligibility"])
    spends = row.get("budget") is not None and checked_budget(row["budget"])["unit"] == "spend"
    if spends and row.get("cost_cents") is None:
        raise wrong("cost_cents", "is missing, a budget of unit spend needs it")
    for channel in row.get("channels") or []:
        if channel not in CHANNELS:
            raise wrong("channels", f"{shorten(channel)}, must be of {', '.join(CHANNELS)}")
    creative = row.get("creative")
    if creative is not None and not isinstance(creative, dict):
        raise wrong("creative", "must be an object of texts by language")
    for locale, text in (creative or {}).items():
        if not is_locale(locale) or not isinstance(text, str):
            raise wrong("creative", f"{shorten(locale)}: must be a text by a language tag as en or pt-BR")
    start, end = row.get("starts_at"), row.get("ends_at")
    if start is not None and end is not None and end <= start:
        raise wrong("ends_at", "must be after starts_at")


def wrong(name: str, why: str) -> InvalidRequest:
    """Return the error of a field."""
    return InvalidRequest(f"{name}: {why}", {name: why})


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
