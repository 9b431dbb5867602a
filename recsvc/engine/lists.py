"""Lists, composed: from a model and a history to the items of a reply. Training composes finished lists here too.

Ways: finished (known customer, nothing new), live (all generators over the history as it is now), and for
those without a history what `popular` has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import GENERATORS, Generator, Reason
from recsvc.engine import ranking
from recsvc.engine.eligibility import Shelf
from recsvc.engine.history import History
from recsvc.engine.model import Model, near
from recsvc.engine.reasons import CODE, Reasons, why
from recsvc.engine.session import NOTHING, Proposals, Session, left, propose


@dataclass(frozen=True, slots=True)
class Listed:
    """Items in order: rows (r,), scores (r,) float32 and their reasons. propensities: (r,) float64, the probability
    with which each stands in its slot; None where nothing was left to chance."""

    rows: Array
    scores: Array
    reasons: Reasons
    propensities: Array | None = None

    def take(self, where: Array) -> Listed:
        """Return the entries at positions `where`, in that order."""
        g = self.reasons
        return Listed(
            self.rows[where], self.scores[where],
            Reasons(g.generators[where], g.codes[where], g.cited[where], g.shares[where]),
            None if self.propensities is None else self.propensities[where],
        )  # fmt: skip

    def then(self, more: Listed) -> Listed:
        """Return this list with those of `more` behind it that are not in it, no score above the last one here."""
        more = more.take(np.flatnonzero(~np.isin(more.rows, self.rows)))
        least = self.scores.min(initial=np.inf)
        names = Reasons.__dataclass_fields__
        return Listed(
            np.concatenate([self.rows, more.rows]),
            np.concatenate([self.scores, np.minimum(more.scores, least)]),
            Reasons(*(np.concatenate([getattr(self.reasons, n), getattr(more.reasons, n)]) for n in names)),
        )


def personal(
    model: Model,
    history: History,
    shelf: Shelf,
    without: Array,
    depth: int,
    session: Session = NOTHING,
    now: float = 0.0,
) -> Listed:
    """Return the `depth` best items for a customer, with the reason of each.

    Bought items stay in: in many shops most of what is bought was bought before. An item whose evidence is
    negative on balance (returned, disliked) is left out, and every sensitive one: who wants it finds it in buy-again.

    Args:
        without: item rows the caller excludes.
        session: what the customer is doing just now, at `now` (epoch seconds).
    """
    return composed(model, history, ranking.propose(model, [history])[0], shelf, without, depth, session, now)


def composed(
    model: Model,
    history: History,
    proposed: ranking.Proposed,
    shelf: Shelf,
    without: Array,
    depth: int,
    session: Session = NOTHING,
    now: float = 0.0,
) -> Listed:
    """Return the list of a customer to whom the generators have spoken; the arguments as in `personal`."""
    allowed = shelf.public.copy()
    allowed[history.item_rows[history.unwanted]] = False
    allowed[without] = False
    kept = left(model, session, history, now)
    # As many more as lose something, so that what comes up in their place is there.
    more = 0 if kept is None else int(np.count_nonzero(kept < 1.0))
    rows, scores = _candidates(model, history, proposed, allowed, depth + more)
    silent = shelf.sensitive.copy()
    silent[history.item_rows[history.unwanted]] = True
    brought = propose(model, session, allowed, silent, now, float(scores.max(initial=0.0)))
    if len(brought.rows):
        rows, scores = _lifted(model, history, proposed, rows, scores, brought)
    if kept is not None:
        scores = np.where(scores > 0, scores * kept[rows], scores)
    if len(rows) < depth:
        rows, scores = _filled_up(model, history, proposed, allowed, rows, scores, depth)
    order = np.lexsort((rows, -scores))[:depth]
    rows, scores = rows[order], scores[order]
    parts = ranking.parts(model, history, proposed, rows)
    reasons = why(model, history, proposed.step, rows, parts, shelf.sensitive)
    _tell_session(reasons, rows, brought, scores)
    return Listed(rows.astype(np.int32), scores, reasons)


def _candidates(
    model: Model, history: History, proposed: ranking.Proposed, allowed: Array, depth: int
) -> tuple[Array, Array]:
    """Return the candidates with their scores: the ranker's, however deep a list is asked for, or without a ranker the
    `depth` best of the blend."""
    if model.ranked:
        rows = ranking.shortlist(model, history, proposed, allowed)
        return rows, ranking.ranked(model, history, proposed, rows)
    return ranking.best(model, history, proposed, allowed, depth)


def _filled_up(
    model: Model, history: History, proposed: ranking.Proposed, allowed: Array, rows: Array, scores: Array, depth: int
) -> tuple[Array, Array]:
    """Return the candidates with what the blend would add below them, as far as there is something.

    Only where it must: the blend of all items costs as much as the ranker. The score depends on the place alone, so
    that a deeper list begins with the shorter one.
    """
    others = allowed.copy()
    others[rows] = False
    more, _ = ranking.best(model, history, proposed, others, depth - len(rows))
    below = scores.min(initial=1.0) * 0.9 / (1.0 + np.arange(len(more), dtype=np.float32) / 100.0)
    return np.concatenate([rows, more]), np.concatenate([scores, below.astype(np.float32)])


def _lifted(
    model: Model, history: History, proposed: ranking.Proposed, rows: Array, scores: Array, brought: Proposals
) -> tuple[Array, Array]:
    """Return the candidates with what the session brings up among them, its score added to theirs."""
    more = np.setdiff1d(brought.rows, rows)
    if len(more):
        if model.ranked:
            own = ranking.ranked(model, history, proposed, more)
        else:
            own = ranking.blended_of(model, history, proposed, more)
        rows, scores = np.concatenate([rows, more]), np.concatenate([scores, own])
    place = {row: position for position, row in enumerate(rows.tolist())}
    scores[[place[row] for row in brought.rows.tolist()]] += brought.scores
    return rows, scores


def _tell_session(reasons: Reasons, rows: Array, brought: Proposals, scores: Array) -> None:
    """Let the session be the reason where it is more than half of the score."""
    place = {row: position for position, row in enumerate(rows.tolist())}
    for row, score, cited, taken in zip(
        brought.rows.tolist(), brought.scores, brought.cited, brought.taken, strict=True
    ):
        at = place.get(row)
        if at is None or score <= scores[at] - score:
            continue
        reasons.generators[at] = GENERATORS.index(Generator.SESSION)
        reasons.codes[at] = CODE[Reason.BOUGHT_TOGETHER if taken else Reason.BECAUSE_VIEWED]
        reasons.cited[at], reasons.shares[at] = cited, score / scores[at]


def scored(model: Model, history: History, rows: Array) -> Array:
    """Return (c,) float32: what a customer's history says of some items; without one, what sells."""
    if not len(rows) or not history.liked.any():
        return np.asarray(model.log_popularity[rows])
    proposed = ranking.propose(model, [history])[0]
    if model.ranked:
        return ranking.ranked(model, history, proposed, rows)
    return ranking.blended(model, history, proposed)[rows]


def parts(model: Model, history: History, rows: Array) -> Array:
    """Return (generators, c) float32, as `ranking.parts`, for items of any list."""
    return ranking.parts(model, history, ranking.propose(model, [history])[0], rows)


def finished(model: Model, customer_row: int) -> Listed:
    """Return the list that training finished for a known customer. Still to be passed through `visible`."""
    a = model.a
    rows = a["finished_rows"][customer_row]
    r = int(np.count_nonzero(rows >= 0))
    reasons = Reasons(
        *(a[f"finished_{name}"][customer_row, :r] for name in ("generators", "reasons", "cited", "shares"))
    )
    return Listed(rows[:r], a["finished_scores"][customer_row, :r], reasons)


def names(listed: Listed, items: Array) -> bool:
    """Whether a reason of a list names one of `items`, (n,) bool."""
    cited = listed.reasons.cited
    return bool(items[cited[cited >= 0]].any())


def visible(listed: Listed, allowed: Array, without: Array, limit: int) -> Listed:
    """Return the first `limit` items that may be shown now. `allowed` is (n,) bool."""
    keep = allowed[listed.rows] & ~np.isin(listed.rows, without)
    return listed.take(np.flatnonzero(keep)[:limit])


def similar(model: Model, item_row: int, shelf: Shelf, limit: int) -> Listed:
    """Return the items whose buyers are most like this item's buyers."""
    rows, scores, _ = near(model, np.array([item_row]))
    return _related(model, item_row, shelf, limit, rows, scores, Reason.BECAUSE_VIEWED)


def bought_together(model: Model, item_row: int, shelf: Shelf, limit: int) -> Listed:
    """Return the items found most often in the same order, beyond what their popularity alone would give."""
    rows, scores = model.a["together_rows"][item_row], model.a["together_scores"][item_row]
    return _related(model, item_row, shelf, limit, rows, scores, Reason.BOUGHT_TOGETHER)


def _related(
    model: Model, item_row: int, shelf: Shelf, limit: int, rows: Array, scores: Array, reason: Reason
) -> Listed:
    keep = np.flatnonzero((rows >= 0) & (scores > 0))
    keep = keep[shelf.public[rows[keep]]]
    keep = keep[np.lexsort((rows[keep], -scores[keep]))][:limit]
    listed = plain(rows[keep], scores[keep], reason, Generator.NEIGHBOURS)
    # A sensitive item is never cited, not even to somebody who is looking at it.
    listed.reasons.cited[:] = -1 if shelf.sensitive[item_row] else item_row
    return listed


def plain(rows: Array, scores: Array, reason: Reason, generator: Generator = Generator.POPULARITY) -> Listed:
    """Return a list all of whose items have one reason, which names no item. rows, scores: (r,), in order."""
    r = len(rows)
    return Listed(
        np.asarray(rows, np.int32),
        np.asarray(scores, np.float32),
        Reasons(
            np.full(r, GENERATORS.index(generator), np.uint8), np.full(r, CODE[reason], np.uint8),
            np.full(r, -1, np.int32), np.ones(r, np.float32),
        ),
    )  # fmt: skip
