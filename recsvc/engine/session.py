"""What a customer is doing just now: what they look at, put into the cart or buy brings up what goes with it, and what
they turn down pushes down its like.

Repeats rank first for customers with a long history, and a view a second ago would change nothing they see.
So each of the newest few items of the session proposes three others near the top of the list: its complements
when it lies in the cart or was bought within a day, else its like. Of what is turned down the nearest neighbour loses
half of its score, the others less as they are less like it; what the customer buys loses nothing. The effect halves
every day and ends with the next training run, which has the same interactions as history. A choice by judgement: The
Complete Journey has no views to measure it on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from recsvc.artifact import Array
from recsvc.engine.history import DAY, History
from recsvc.engine.model import Model, near

_ITEMS, _EACH = 5, 3
_HALF_LIFE_DAYS = 1.0
_PUSH = 0.5  # what the nearest neighbour of an item that was just turned down loses
_STEP = 0.05  # between the first, second and third proposal of one item


@dataclass(frozen=True, slots=True)
class Session:
    """The newest items of a session, newest first. item_rows: (s,) int32, distinct. at: (s,) epoch seconds.
    in_cart, bought: (s,) bool; no `bought` at all when nothing was. refused, refused_at: (f,) int32 and epoch seconds,
    what was turned down, newest first."""

    item_rows: Array
    at: Array
    in_cart: Array
    bought: Array = field(default_factory=lambda: np.empty(0, bool))
    refused: Array = field(default_factory=lambda: np.empty(0, np.int32))
    refused_at: Array = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def taken(self) -> Array:
        """(s,) bool: chosen already, so that not its like is wanted but what goes with it."""
        return self.in_cart | self.bought if len(self.bought) else self.in_cart


@dataclass(frozen=True, slots=True)
class Proposals:
    """What the session brings up: rows (p,) int32, distinct; scores (p,) float32; cited (p,) int32, the session
    item behind each; taken (p,) bool, whether that is in the cart or bought."""

    rows: Array
    scores: Array
    cited: Array
    taken: Array


NOTHING = Session(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, bool))


def propose(model: Model, session: Session, allowed: Array, silent: Array, now: float, scale: float) -> Proposals:
    """Return what the session brings up.

    Args:
        allowed: (n,) bool, what may be proposed.
        silent: (n,) bool, what may not be cited, as a sensitive item: it proposes nothing.
        scale: the score of the best item of the list without the session.
    """
    best: dict[int, tuple[float, int, bool]] = {}
    own = set(session.item_rows.tolist())
    for item, at, taken in list(zip(session.item_rows.tolist(), session.at, session.taken, strict=True))[:_ITEMS]:
        if silent[item]:
            continue
        strength = scale * 2.0 ** (-max(now - float(at), 0.0) / DAY / _HALF_LIFE_DAYS)
        like = model.a["together_rows"][item] if taken else near(model, np.array([item]))[0]
        brought = [row for row in like.tolist() if row >= 0 and allowed[row] and row not in own]
        for place, row in enumerate(brought[:_EACH]):
            score = strength * (1.0 - _STEP * place)
            if row not in best or score > best[row][0]:
                best[row] = (score, item, bool(taken))
    return Proposals(
        np.array(list(best), np.int32),
        np.array([one[0] for one in best.values()], np.float32),
        np.array([one[1] for one in best.values()], np.int32),
        np.array([one[2] for one in best.values()], bool),
    )


def left(model: Model, session: Session, history: History, now: float) -> Array | None:
    """Return (n,) float32 in (0, 1]: what each item keeps of its score beside what was just turned down; None where
    nothing was."""
    if not len(session.refused):
        return None
    kept = np.ones(model.n_items, np.float32)
    for item, at in list(zip(session.refused.tolist(), session.refused_at, strict=True))[:_ITEMS]:
        rows, scores, _ = near(model, np.array([item]))
        alike = scores * model.a["neighbour_scale"][rows]
        strength = _PUSH * 2.0 ** (-max(now - float(at), 0.0) / DAY / _HALF_LIFE_DAYS)
        kept[rows] = np.minimum(
            kept[rows], 1.0 - strength * np.maximum(alike, 0.0) / max(alike.max(initial=0.0), 1e-12)
        )
    kept[history.item_rows[history.liked & (history.orders > 0)]] = 1.0
    return kept
