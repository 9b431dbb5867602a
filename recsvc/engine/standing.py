"""A customer's karma: whether the shop let them down. Customers never see the word.

It is 0 at the start; what went wrong counts against the shop, until it is made good or has faded. While it stands, the
shop makes good before it sells: promotions pause, and it writes less. A complaint counts whole until it is resolved,
and not at all from then on; a late delivery that is resolved counts no more either, and fades until then, as unhappy
answers to surveys do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from recsvc.engine.history import DAY
from recsvc.engine.refusals import PAUSED_AT

COMPLAINT, UNHAPPY, LATE = -4.0, -3.0, -2.0
HALF_LIFEDAYS: Final = 30.0
MOST: Final = 10.0
RESOLVED: Final = frozenset({"complaint_resolved", "support_resolved"})
# Points this small are gone: after some 270 days.
_FADED: Final = 0.005


@dataclass(frozen=True, slots=True)
class Happened:
    """What happened to a customer: a kind of interaction, when (epoch seconds), and what it refers to, if anything."""

    kind: str
    at: float
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A customer's answer to a survey (`nps`, `csat` or `ces`), when (epoch seconds), and what it was about."""

    kind: str
    score: int
    at: float
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that counts, or that counted until it was resolved: points, <= 0, are those it has now.

    code: complaint, delivery_late, detractor, low_satisfaction or hard_effort. Times in epoch seconds.
    """

    code: str
    at: float
    points: float
    ref: str | None = None
    resolved_at: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A customer's karma in [-10, 10], and what it is made of, newest first."""

    value: float
    parts: tuple[Part, ...] = ()

    @property
    def open_complaint(self) -> bool:
        """Whether a complaint waits to be resolved."""
        return any(one.code == "complaint" and one.resolved_at is None for one in self.parts)

    @property
    def paused(self) -> bool:
        """Whether promotions pause."""
        return self.value <= PAUSED_AT


NEUTRAL: Final = Standing(0.0)


def contact_cap(cap: int | None, standing: Standing) -> int | None:
    """Return how often a customer may be contacted who usually may be `cap` times: half as often, rounded up, while
    promotions pause."""
    return -(-cap // 2) if cap is not None and standing.paused else cap


def customer(happened: Sequence[Happened], answers: Sequence[Answer], now: float) -> Standing:
    """Return a customer's karma at a moment.

    Of one complaint, or one late delivery, that was told several times (one `ref`) the latest counts. It is resolved by
    a resolution that is not earlier and of the same `ref`; where either of the two has none, by any. Of answers to one
    survey about one thing the latest counts: who was unhappy and is not any more has been made good to.

    Args:
        happened: in any order; kinds other than complaint, delivery_late and their resolutions count nothing.
        answers: in any order.
        now: epoch seconds. What is dated later counts as just happened.
    """
    parts = [_of_event(one, happened, now) for one in _latest_told(happened)]
    latest: dict[tuple[str, str | None], Answer] = {}
    for answer in sorted(answers, key=lambda one: one.at):
        latest[answer.kind, answer.about] = answer
    for answer in latest.values():
        code = unhappy(answer.kind, answer.score)
        if code:
            parts.append(Part(code, answer.at, UNHAPPY * _faded(answer.at, now), answer.about))
    parts = [one for one in parts if one.points < -_FADED or one.resolved_at is not None]
    parts.sort(key=lambda one: (-one.at, one.code))
    return Standing(max(-MOST, min(MOST, sum(one.points for one in parts))), tuple(parts))


def unhappy(kind: str, score: int) -> str | None:
    """Return what an answer says against the shop: NPS 0 to 6 a `detractor`, CSAT 1 or 2 `low_satisfaction`, CES 6 or 7
    `hard_effort` (1 is very easy, 7 very hard); None when nothing."""
    if kind == "nps" and score <= 6:
        return "detractor"
    if kind == "csat" and score <= 2:
        return "low_satisfaction"
    return "hard_effort" if kind == "ces" and score >= 6 else None


def _latest_told(happened: Sequence[Happened]) -> list[Happened]:
    alone = [one for one in happened if one.ref is None]
    by_ref = {(one.kind, one.ref): one for one in sorted(happened, key=lambda one: one.at) if one.ref is not None}
    return [one for one in (*alone, *by_ref.values()) if one.kind in {"complaint", "delivery_late"}]


def _of_event(one: Happened, happened: Sequence[Happened], now: float) -> Part:
    complaint = one.kind == "complaint"
    resolutions = [
        other.at for other in happened
        if other.kind in RESOLVED and one.at <= other.at
        and (one.ref is None or other.ref is None or other.ref == one.ref)
    ]  # fmt: skip
    if resolutions:
        return Part(one.kind, one.at, 0.0, one.ref, min(resolutions))
    return Part(one.kind, one.at, COMPLAINT if complaint else LATE * _faded(one.at, now), one.ref)


def _faded(at: float, now: float) -> float:
    return float(0.5 ** (max(0.0, now - at) / (HALF_LIFEDAYS * DAY)))
