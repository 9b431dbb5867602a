"""A customer's karma: the balance of what happened between them and the shop. Below zero the shop let them down.

A complaint weighs −4 until it is resolved, and not at all from then on. An answer to a survey that says the customer
is unhappy weighs −3, a late delivery −2; both fade by half every 30 days, and a delivery that was put right weighs
nothing. The sum stays within −10 and 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from recsvc.engine.history import DAY
from recsvc.engine.refusals import PAUSED_AT

LOWEST, HIGHEST = -10.0, 10.0
COMPLAINT, UNHAPPY, LATE = -4.0, -3.0, -2.0
HALF_LIFE_DAYS: Final = 30.0
RESOLVED: Final = ("complaint_resolved", "support_resolved")
# kind of survey → the scores that say unhappy: detractors, low satisfaction, and hard effort (7 is the hardest).
SAD: Final[dict[str, range]] = {"nps": range(7), "csat": range(1, 3), "ces": range(6, 8)}
# Points this small are gone: after about 150 days.
_GONE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Told:
    """What happened: kind of an interaction, or `nps`, `csat` or `ces` with a score; at: epoch seconds; ref: what it is
    about, a parcel or a contact, which a resolution names too."""

    kind: str
    at: float
    ref: str | None = None
    score: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that counts: its kind, when it was, and its points now."""

    kind: str
    at: float
    points: float
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A customer's karma, in [−10, 10], and its parts, the newest first."""

    value: float
    parts: tuple[Part, ...] = ()

    @property
    def open_complaint(self) -> bool:
        """Whether a complaint waits to be resolved."""
        return any(one.kind == "complaint" for one in self.parts)


NEUTRAL: Final = Standing(0.0)


def customer(told: Sequence[Told], now: float) -> Standing:
    """Return a customer's karma at `now` (epoch seconds) from what happened; what is later does not count yet."""
    parts = []
    for one in told:
        points = _points(one, now)
        if one.at > now or not points or abs(points) < _GONE or _resolved(one, told, now):
            continue
        parts.append(Part(one.kind, one.at, round(points, 3), one.ref))
    parts.sort(key=lambda one: -one.at)
    return Standing(max(LOWEST, min(HIGHEST, sum(one.points for one in parts))), tuple(parts))


def contact_cap(cap: int | None, standing: Standing) -> int | None:
    """Return how often a customer may be contacted: half as often, rounded up, while promotions pause."""
    return cap if cap is None or standing.value > PAUSED_AT else (cap + 1) // 2


def _points(one: Told, now: float) -> float:
    faded = float(0.5 ** (max(now - one.at, 0.0) / DAY / HALF_LIFE_DAYS))
    if one.kind == "complaint":
        return COMPLAINT
    if one.kind == "delivery_late":
        return LATE * faded
    return UNHAPPY * faded if one.score is not None and one.score in SAD.get(one.kind, ()) else 0.0


def _resolved(one: Told, told: Sequence[Told], now: float) -> bool:
    """Whether something was put right: by a resolution from the same moment on that names the same, or names nothing.
    Where it names nothing itself, any resolution will do."""
    if one.kind not in {"complaint", "delivery_late"}:
        return False
    return any(
        other.kind in RESOLVED and one.at <= other.at <= now
        and (one.ref is None or other.ref is None or other.ref == one.ref)
        for other in told
    )  # fmt: skip
