"""What is asked of a list as a whole: caps, diversity, minimum relevance, pages, and what chance fills."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.concepts import REASONS, Reason
from recsvc.engine.arrange import Traits, arrange, relevance
from recsvc.engine.lists import Listed
from recsvc.engine.query import Query
from recsvc.engine.reasons import Reasons


def _listed(scores: list[float]) -> Listed:
    r = len(scores)
    reasons = Reasons(
        np.zeros(r, np.uint8), np.zeros(r, np.uint8), np.arange(r, dtype=np.int32), np.ones(r, np.float32)
    )
    return Listed(np.arange(100, 100 + r, dtype=np.int32), np.array(scores, np.float32), reasons)


def _traits(r: int, rng: np.random.Generator) -> Traits:
    factors = rng.normal(size=(r, 4)).astype(np.float32)
    factors[rng.random(r) < 0.3] = 0.0
    codes = {"brand": rng.integers(-1, 4, r), "category": rng.integers(-1, 6, r), "parent": rng.integers(0, r + 1, r)}
    return Traits(codes, factors, rng.random((r, 5)) < 0.4)


def _made(listed: Listed, query: Query, traits: Traits, seed: int = 0, pool: int = 1000) -> Listed:
    return arrange(listed, query, traits, np.random.default_rng(seed), pool)


CASES = st.fixed_dictionaries({
    "r": st.integers(0, 40), "seed": st.integers(0, 1000), "diversity": st.sampled_from([0.0, 0.3, 1.0]),
    "min_relevance": st.sampled_from([0.0, 0.2, 0.7]), "explore": st.sampled_from([0.0, 0.2, 1.0]),
    "caps": st.lists(st.tuples(st.sampled_from(["brand", "category", "parent"]), st.integers(1, 3)), max_size=3),
    "pool": st.sampled_from([10, 1000]), "rotated": st.booleans(),
})  # fmt: skip


def _case(case: dict[str, Any]) -> tuple[Listed, Traits, Query]:
    rng = np.random.default_rng(case["seed"])
    listed = _listed(sorted(rng.random(case["r"]).tolist(), reverse=True))
    penalty = rng.random(200).astype(np.float32) if case["rotated"] else None
    query = Query(
        10, caps=tuple(case["caps"]), min_relevance=case["min_relevance"], diversity=case["diversity"],
        explore=case["explore"], penalty=penalty,
    )  # fmt: skip
    return listed, _traits(case["r"], rng), query


@settings(max_examples=300, deadline=None)
@given(CASES)
def test_items_are_distinct_and_every_cap_holds(case: dict[str, Any]) -> None:
    listed, traits, query = _case(case)
    found = _made(listed, replace(query, limit=100), traits, pool=case["pool"])
    assert len(set(found.rows.tolist())) == len(found.rows)
    places = found.rows - 100
    for trait, most in query.caps:
        counts = Counter(code for code in traits.codes[trait][places].tolist() if code >= 0)
        assert not counts or max(counts.values()) <= most
    if not case["rotated"]:
        assert (relevance(listed.scores)[places] >= query.min_relevance).all()


@settings(max_examples=300, deadline=None)
@given(CASES, st.lists(st.integers(1, 7), min_size=1, max_size=8))
def test_pages_laid_end_to_end_are_the_one_long_list(case: dict[str, Any], sizes: list[int]) -> None:
    listed, traits, query = _case(case)
    whole = _made(listed, replace(query, limit=sum(sizes)), traits, 5, case["pool"])
    rows, chances, offset = [], [], 0
    for size in sizes:
        page = _made(listed, replace(query, limit=size, offset=offset), traits, 5, case["pool"])
        rows += page.rows.tolist()
        chances += [] if page.propensities is None else page.propensities.tolist()
        offset += size
    assert rows == whole.rows.tolist()
    assert chances == ([] if whole.propensities is None else pytest.approx(whole.propensities.tolist()))


def test_without_diversity_the_order_is_untouched_and_more_of_it_spreads_the_brands() -> None:
    rng = np.random.default_rng(3)
    listed = _listed(np.linspace(1, 0.5, 60).tolist())
    brand = np.repeat(np.arange(6), 10)  # the best ten are all of one brand
    factors = np.eye(6, dtype=np.float32)[brand] + rng.normal(0, 0.01, (60, 6)).astype(np.float32)
    traits = Traits({}, factors, np.zeros((60, 0), bool))
    assert _made(listed, Query(10), traits).rows.tolist() == list(range(100, 110))
    brands = [len(set(brand[_made(listed, Query(10, diversity=d), traits).rows - 100])) for d in (0.0, 0.2, 0.6)]
    assert brands[0] == 1 and brands[0] < brands[1] <= brands[2] == 6


def test_diversity_is_that_of_carbonell_and_goldstein_by_a_plain_loop() -> None:
    rng = np.random.default_rng(4)
    listed, traits = _listed(sorted(rng.random(30).tolist(), reverse=True)), _traits(30, rng)
    worth = listed.scores / listed.scores.max()

    def like(a: int, b: int) -> float:
        x, y = traits.factors[a].astype(float), traits.factors[b].astype(float)
        if x.any() and y.any():
            return max(float(x @ y / np.linalg.norm(x) / np.linalg.norm(y)), 0.0)
        one, two = traits.categories[a], traits.categories[b]
        return float((one & two).sum() / max((one | two).sum(), 1))

    chosen: list[int] = []
    while len(chosen) < 12:
        left = [place for place in range(30) if place not in chosen]
        chosen.append(max(left, key=lambda i: 0.6 * worth[i] - 0.4 * max((like(i, j) for j in chosen), default=0.0)))
    assert _made(listed, Query(12, diversity=0.4), traits).rows.tolist() == [100 + place for place in chosen]


def test_what_is_far_below_the_best_is_left_out_and_nothing_takes_its_place() -> None:
    listed = _listed([10.0, 8.0, 4.0, 0.5, -1.0])
    traits = _traits(5, np.random.default_rng(0))
    assert relevance(listed.scores).tolist() == pytest.approx([1.0, 0.8, 0.4, 0.05, 0.0])
    assert _made(listed, Query(5, min_relevance=0.4), traits).rows.tolist() == [100, 101, 102]
    assert _made(_listed([0.0, -1.0]), Query(5, min_relevance=0.1), traits).rows.tolist() == []


@pytest.mark.parametrize(("explore", "count", "slots"), [(0.3, 12, 6), (0.5, 6, 6), (0.1, 5, 5), (1.0, 6, 6)])
def test_a_propensity_is_how_often_the_item_stands_in_that_slot(explore: float, count: int, slots: int) -> None:
    listed, traits = _listed(np.linspace(1, 0.1, count).tolist()), _traits(count, np.random.default_rng(0))
    rounds = 20_000
    seen: Counter[tuple[int, int]] = Counter()
    said: dict[tuple[int, int], float] = {}
    for seed in range(rounds):
        found = _made(listed, Query(slots, explore=explore), traits, seed)
        assert found.propensities is not None and len(found.rows) == slots
        for slot, (row, chance) in enumerate(zip(found.rows.tolist(), found.propensities.tolist(), strict=True)):
            seen[slot, row] += 1
            assert said.setdefault((slot, row), chance) == chance and 0 < chance <= 1 + 1e-12
    for place, chance in said.items():
        error = 4.5 * (chance * (1 - chance) / rounds) ** 0.5 + 1e-9
        assert abs(seen[place] / rounds - chance) <= error, place
    for slot in range(slots):  # every slot is filled, so its propensities add up to one
        assert sum(chance for (at, _), chance in said.items() if at == slot) == pytest.approx(1.0, abs=0.02)


def test_an_item_brought_by_chance_says_so_and_cites_nothing() -> None:
    listed, traits = _listed(np.linspace(1, 0.1, 20).tolist()), _traits(20, np.random.default_rng(0))
    found = _made(listed, Query(10, explore=0.5), traits, 1)
    by_chance = found.rows >= 110  # the lesser half
    assert by_chance.any() and not by_chance.all()
    told = np.array([REASONS[code] is Reason.EXPLORATION for code in found.reasons.codes])
    assert (told == by_chance).all() and (found.reasons.cited[by_chance] == -1).all()
    assert found.rows[~by_chance].tolist() == list(itertools.islice(range(100, 110), int((~by_chance).sum())))
