"""Data quality: how many events of each kind came on each day, where days are missing, and who and what is unknown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import sqlalchemy as sa

from recsvc.concepts import KINDS
from recsvc.store.database import LOAD_SECONDS, reading
from recsvc.store.interactions import interactions
from training.sources import Log

DAYS: Final = 731
_DAY_MICROSECONDS: Final = 86_400_000_000
_GAPS: Final = 20
_EPOCH: Final = date(1970, 1, 1)


def quality(engine: sa.Engine, up_to: int, log: Log, known: set[str], now: float) -> dict[str, Any]:
    """Return what the data of a run are like. Days are those of UTC.

    Args:
        up_to: the newest revision the run has read.
        log: what it has learnt from, whole.
        known: the item ids of the catalogue.
        now: epoch seconds; events of later days are counted in `later` and nowhere else.

    Returns:
        first_day, newest_day: dates, within the newest 731 days. kinds: kind → events (in all), newest (date) and
        by_day (one count a day from first_day to newest_day), the most frequent kind first. empty_days, gaps: how many
        days in between have no event, and the first 20 runs of them as [from, to]. later: see `now`.
        learnt_from: events that name an item; of these unknown_items and without_customer are shares;
        unknown_item_ids: how many distinct items the catalogue lacks.
    """
    today = int(now // 86400)
    counts: dict[str, dict[int, int]] = defaultdict(dict)
    later = 0
    for kind, day, events in (*_with_item(log), *_without_item(engine, up_to)):
        if day > today:
            later += events
        elif kind in KINDS:
            counts[kind][day] = counts[kind].get(day, 0) + events
    return {**_days(counts), "later": later, **_unknown(log, known)}


def _with_item(log: Log) -> Iterator[tuple[str, int, int]]:
    for kind, (days, events) in (log.by_day or {}).items():
        for day, n in zip(days.tolist(), events.tolist(), strict=True):
            yield kind, day, n


def _without_item(engine: sa.Engine, up_to: int) -> Iterator[tuple[str, int, int]]:
    """Yield kind, day and count of what training does not read; to sort all events by day in SQL took a second."""
    t = interactions.c
    day = (t.occurred_at // _DAY_MICROSECONDS).label("day")
    wanted = sa.and_(t.item_id.is_(None), t.revision <= up_to)
    query = sa.select(t.kind, day, sa.func.count()).where(wanted).group_by(t.kind, day)
    with reading(engine, LOAD_SECONDS) as connection:
        yield from ((kind, int(day), int(events)) for kind, day, events in connection.execute(query))


def _days(counts: dict[str, dict[int, int]]) -> dict[str, Any]:
    days = {day for by_day in counts.values() for day in by_day}
    if not days:
        return {"first_day": None, "newest_day": None, "kinds": {}, "empty_days": 0, "gaps": []}
    newest = max(days)
    first = max(min(days), newest - DAYS + 1)
    shown = range(first, newest + 1)
    kinds = sorted(counts, key=lambda kind: (-sum(counts[kind].values()), kind))
    empty = [day for day in shown if day not in days]
    return {
        "first_day": _date(first), "newest_day": _date(newest),
        "kinds": {
            kind: {
                "events": sum(counts[kind].values()), "newest": _date(max(counts[kind])),
                "by_day": [counts[kind].get(day, 0) for day in shown],
            }
            for kind in kinds
        },
        "empty_days": len(empty), "gaps": [[_date(a), _date(b)] for a, b in _runs(empty)[:_GAPS]],
    }  # fmt: skip


def _runs(days: list[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of days on end."""
    starts = [day for at, day in enumerate(days) if not at or days[at - 1] != day - 1]
    ends = [day for at, day in enumerate(days) if at == len(days) - 1 or days[at + 1] != day + 1]
    return list(zip(starts, ends, strict=True))


def _unknown(log: Log, known: set[str]) -> dict[str, Any]:
    events = np.bincount(log.events.item_rows, minlength=len(log.item_ids))
    unknown = np.array([item_id not in known for item_id in log.item_ids], bool)
    return {
        "learnt_from": len(log), "unknown_items": float(events[unknown].sum() / max(len(log), 1)),
        "unknown_item_ids": int(unknown.sum()), "without_customer": float((log.customers < 0).sum() / max(len(log), 1)),
    }  # fmt: skip


def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()
