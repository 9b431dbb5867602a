"""Why an item is on a list: the item of the history that contributed most to its score, with its share.

Computed from the same arrays as the score, so a reason is a fact about the score and not a story told after it.
Sensitive items are never cited. Dislikes and returns are never cited. Nor is an item without which the score would
not fall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import GENERATORS, REASONS, Generator, Reason
from recsvc.engine import candidates
from recsvc.engine.history import History
from recsvc.engine.model import Model

CODE: dict[Reason, int] = {reason: code for code, reason in enumerate(REASONS)}


@dataclass(frozen=True, slots=True)
class Reasons:
    """One reason per listed item. generators, codes: (r,) uint8, positions in GENERATORS and REASONS.
    cited: (r,) int32 item row, −1 for none. shares: (r,) float32 in [0, 1]: where an item speaks for another, its part
    of the score of that generator; where it speaks for itself (repeat) or none is cited, the generator's part of the
    whole.
    """

    generators: Array
    codes: Array
    cited: Array
    shares: Array


def why(
    model: Model, history: History, step: candidates.HalfStep, rows: Array, contributions: Array, sensitive: Array
) -> Reasons:
    """Return the reasons of chosen items.

    Args:
        step: of the history.
        rows: (r,) item rows.
        contributions: (g, r) float32, each generator's weighted part of the score of each chosen item.
        sensitive: (n,) bool.
    """
    r = len(rows)
    positive = np.maximum(contributions, 0.0)
    best = positive.argmax(axis=0).astype(np.uint8)
    total = np.maximum(positive.sum(axis=0), 1e-12)
    codes = np.full(r, CODE[Reason.TRENDING_IN], np.uint8)
    cited = np.full(r, -1, np.int32)
    shares = (positive.max(axis=0) / total).astype(np.float32)
    repeat = best == GENERATORS.index(Generator.REPEAT)
    codes[repeat] = CODE[Reason.DUE_AGAIN]
    cited[repeat] = rows[repeat]
    for generator in (Generator.COLLABORATIVE, Generator.NEIGHBOURS):
        mine = np.flatnonzero(best == GENERATORS.index(generator))
        # Where no generator says anything, the first one counts as best: without a history it has nothing to name.
        if not len(mine) or not len(history):
            continue
        if generator is Generator.COLLABORATIVE:
            found = candidates.evidence(step, model.a["factors"][:, rows[mine]])
            speaks = candidates.pulling(step, model.a["factors"][:, history.item_rows])
        else:
            found, speaks = _by_graph(model, history, rows[mine]), np.ones(len(history), bool)
        speaks &= history.liked & ~sensitive[history.item_rows]
        _cite(history, mine, found, speaks, codes, cited, shares)
    return Reasons(best, codes, cited, shares)


def _cite(
    history: History, mine: Array, evidence: Array, speaks: Array, codes: Array, cited: Array, shares: Array
) -> None:
    """Fill in the reason of the items `mine` from (m, len(mine)) evidence of each history entry for each. `speaks` is
    (m,) bool: which entries may be cited."""
    useful = np.maximum(evidence, 0.0)
    whole = np.maximum(useful.sum(axis=0), 1e-12)
    useful[~speaks] = 0.0
    top = useful.argmax(axis=0)
    strength = useful[top, np.arange(len(mine))]
    found = strength > 0
    bought = history.orders[top] > 0
    codes[mine[found]] = np.where(bought, CODE[Reason.BECAUSE_BOUGHT], CODE[Reason.BECAUSE_VIEWED])[found]
    cited[mine[found]] = history.item_rows[top[found]]
    shares[mine[found]] = (strength / whole)[found]
    # Nothing that may be named stands behind it: what is left to say is that customers like this one buy it.
    codes[mine[~found]] = CODE[Reason.FALLBACK]


def _by_graph(model: Model, history: History, rows: Array) -> Array:
    """Return (m, r): each history entry's part of the graph score."""
    targets, parts, entries = candidates.pointing(model, history)
    place = np.full(model.n_items, -1)
    place[rows] = np.arange(len(rows))
    at = place[targets]
    hit = at >= 0
    out = np.zeros((len(history), len(rows)))
    np.add.at(out, (entries[hit], at[hit]), parts[hit])
    return out
