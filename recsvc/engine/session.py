"""What a customer is doing just now: items looked at or put into the cart bring up what goes with them.

Repeats rank first for customers with a long history, and a view a second ago would change nothing they see.
So each of the newest few items of the session proposes three others near the top of the list: its complements
when it lies in the cart, else its like. The effect halves every day and ends with the next training run, which
has the same interactions as history. A choice by judgement: The Complete Journey has no views to measure it on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array
from recsvc.engine.history import DAY
from recsvc.engine.model import Model, near

_ITEMS, _EACH = 5, 3
_HALF_LIFE_DAYS = 1.0
_STEP = 0.05  # between the first, second and third proposal of one item


@dataclass(frozen=True, slots=True)
class Session:
    """The newest items of a session, newest first. item_rows: (s,) int32, distinct. at: (s,) epoch seconds.
    in_cart: (s,) bool."""

    item_rows: Array
    at: Array
    in_cart: Array


@dataclass(frozen=True, slots=True)
class Proposals:
    """What the session brings up: rows (p,) int32, distinct; scores (p,) float32; cited (p,) int32, the session
    item behind each; in_cart (p,) bool, whether that lies in the cart."""

    rows: Array
    scores: Array
    cited: Array
    in_cart: Array


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
    for item, at, in_cart in list(zip(session.item_rows.tolist(), session.at, session.in_cart, strict=True))[:_ITEMS]:
        if silent[item]:
            continue
        strength = scale * 2.0 ** (-max(now - float(at), 0.0) / DAY / _HALF_LIFE_DAYS)
        like = model.a["together_rows"][item] if in_cart else near(model, np.array([item]))[0]
        brought = [row for row in like.tolist() if row >= 0 and allowed[row] and row not in own]
        for place, row in enumerate(brought[:_EACH]):
            score = strength * (1.0 - _STEP * place)
            if row not in best or score > best[row][0]:
                best[row] = (score, item, bool(in_cart))
    return Proposals(
        np.array(list(best), np.int32),
        np.array([one[0] for one in best.values()], np.float32),
        np.array([one[1] for one in best.values()], np.int32),
        np.array([one[2] for one in best.values()], bool),
    )
