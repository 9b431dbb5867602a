"""From candidates in order to slots: what is asked of a list as a whole.

In this order: rotation, minimum relevance, one slot per parent and the caps, diversity, exploration, the page. Every
step but exploration decides by what stands before an item, never by what comes after it, so that a longer list begins
with the shorter one and a page goes on where the one before it ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import Reason
from recsvc.engine.lists import Listed
from recsvc.engine.query import Query
from recsvc.engine.reasons import CODE


@dataclass(frozen=True, slots=True)
class Traits:
    """What r candidates are, as arrays beside them.

    codes: trait → (r,) integers, equal for items that share it, −1 where an item has none.
    factors: (r, k) float32. categories: (r, c) bool, which of c categories each is in.
    """

    codes: Mapping[str, Array]
    factors: Array
    categories: Array


def arrange(listed: Listed, query: Query, traits: Traits, rng: np.random.Generator, pool: int) -> Listed:
    """Return the slots asked for, in order, each with its propensity.

    Args:
        listed: the candidates, best first.
        traits: of the candidates; only what the query needs is looked at.
        rng: for exploration. The same state of it gives the same list, whatever page of it is asked for.
        pool: how many of the first candidates take part in rotation, diversity and exploration: as many for every page.
            The others stand behind them; with exploration they are left out.
    """
    places = np.arange(len(listed.rows))
    worth = relevance(listed.scores)
    if query.penalty is not None:
        worth = worth * (1.0 - query.penalty[listed.rows])
        places[:pool] = np.argsort(-worth[:pool], kind="stable")
    places = places[worth[places] >= query.min_relevance]
    if query.caps:
        columns = [traits.codes[trait][places] for trait, _ in query.caps]
        most = len(places) if query.explore or query.diversity else query.last
        places = places[capped(columns, [count for _, count in query.caps], most)]
    inside, behind = places[places < pool], places[places >= pool]
    if query.diversity:
        count = len(inside) if query.explore else query.last
        inside = inside[diverse(worth[inside], query.diversity, traits, inside, count)]
    if query.explore:
        return explored(listed.take(inside), query, rng)
    return listed.take(np.concatenate([inside, behind])[query.offset : query.last])


def relevance(scores: Array) -> Array:
    """Return (r,) float64 in [0, 1]: each score as a part of the best of the list; 0 where a score is not above 0.

    Scores of different ways to make a list have different scales, so only those of one list can be compared.
    """
    best = float(np.max(scores, initial=0.0))
    return np.clip(np.asarray(scores, np.float64), 0.0, None) / best if best > 0 else np.zeros(len(scores))


def capped(columns: list[Array], most: list[int], count: int) -> Array:
    """Return the first `count` places that keep every cap, in order.

    Args:
        columns: (r,) codes per cap; what is −1 is not counted.
        most: per cap, how many of one code.
    """
    seen: list[Counter[int]] = [Counter() for _ in columns]
    kept = []
    for place, codes in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        if any(code >= 0 and seen[n][code] >= most[n] for n, code in enumerate(codes)):
            continue
        for n, code in enumerate(codes):
            seen[n][code] += 1
        kept.append(place)
        if len(kept) == count:
            break
    return np.array(kept, np.int64)


def diverse(worth: Array, diversity: float, traits: Traits, places: Array, count: int) -> Array:
    """Return all r positions, the first `count` chosen one by one for their worth less their likeness to those before.

    The next is the one with the highest (1 − diversity) · worth − diversity · (likeness to the most similar before
    it). Likeness is the cosine of the factors; of two items of which one has none, the part of their categories that
    they share.

    Args:
        worth: (r,) in [0, 1].
        places: (r,) where in `traits` the items are.

    Source:
        Carbonell & Goldstein 1998, https://doi.org/10.1145/290941.291025, with λ = 1 − diversity
    """
    r = len(places)
    factors, sets = traits.factors[places], traits.categories[places].astype(np.float64)
    length, sizes = np.linalg.norm(factors, axis=1), sets.sum(axis=1)
    unit = factors / np.where(length > 0, length, 1.0)[:, None]
    value, closest = (1.0 - diversity) * worth, np.zeros(r)
    free, chosen = np.ones(r, bool), list[int]()
    for _ in range(min(count, r)):
        best = int(np.argmax(np.where(free, value - diversity * closest, -np.inf)))
        chosen.append(best)
        free[best] = False
        shared = sets @ sets[best]
        overlap = shared / np.maximum(sizes + sizes[best] - shared, 1.0)
        like = np.where((length > 0) & (length[best] > 0), np.maximum(unit @ unit[best], 0.0), overlap)
        closest = np.maximum(closest, like)
    return np.concatenate([np.array(chosen, np.int64), np.flatnonzero(free)])


def explored(listed: Listed, query: Query, rng: np.random.Generator) -> Listed:
    """Return a page of a list in which each slot is, with probability `query.explore`, filled by chance.

    The better half of the candidates stands in order; the other half is what chance draws from, each item alike, none
    twice. When either is used up the other fills what is left. The propensity of an item in its slot is the probability
    that this policy puts it there, over all draws: exact, by `_used`.
    """
    r = len(listed.rows)
    own = (r + 1) // 2
    drawn = own + rng.permutation(r - own)
    slots = min(query.last, r)
    coins = rng.random(query.last)[:slots] < query.explore
    used, by_chance = _used(query.explore, own, r - own, slots)
    places, propensities, taken = np.empty(slots, np.int64), np.empty(slots), 0
    for slot in range(slots):
        n_drawn = slot - taken
        chance = by_chance[slot, taken]
        if (coins[slot] or taken == own) and n_drawn < r - own:
            places[slot] = drawn[n_drawn]
            propensities[slot] = used[slot] @ by_chance[slot] / (r - own)
        else:
            places[slot] = taken
            propensities[slot] = used[slot, taken] * (1.0 - chance)
            taken += 1
    page = slice(query.offset, slots)
    found = listed.take(places[page])
    chosen = places[page] >= own
    g = found.reasons
    told = replace(
        g,
        codes=np.where(chosen, CODE[Reason.EXPLORATION], g.codes).astype(np.uint8),
        cited=np.where(chosen, -1, g.cited).astype(np.int32),
        shares=np.where(chosen, 1.0, g.shares).astype(np.float32),
    )
    return replace(found, reasons=told, propensities=propensities[page])


def _used(explore: float, own: int, others: int, slots: int) -> tuple[Array, Array]:
    """Return (slots, own + 1) the probability that so many of the items in order stand before each slot, and
    (slots, own + 1) the probability that the slot is then filled by chance.

    Whether a slot is filled by chance depends on nothing but how many of each kind are left, and which item chance
    brings is independent of that: each of the `others` is as likely in any slot that is filled so.
    """
    before = np.arange(own + 1)
    used, by_chance = np.zeros((slots, own + 1)), np.zeros((slots, own + 1))
    now = np.zeros(own + 1)
    now[:1] = 1.0
    for slot in range(slots):
        used[slot] = now
        left = slot - before < others
        by_chance[slot] = np.where(left, np.where(before < own, explore, 1.0), 0.0)
        moved = now * (1.0 - by_chance[slot])
        now = now * by_chance[slot]
        now[1:] += moved[:-1]
    return used, by_chance
