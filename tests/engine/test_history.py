"""A history collected at once equals one collected in two steps, in any order."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.engine.history import DAY, EMPTY, Decay, Events, History, collect, merge

DECAY = Decay(as_of=1000 * DAY, taste_half_life_days=180, repeat_half_life_days=60, visit_decay=0.9)


def _events(rows: list[tuple[int, int, str, int]]) -> Events:
    kinds = [kind for _, _, kind, _ in rows]
    weight = {"view": 1, "purchase": 5, "dislike": -5}
    return Events(
        np.array([item for item, *_ in rows], np.int32),
        np.array([weight[kind] for kind in kinds], np.float32),
        np.array([int(day * DAY) for _, day, _, _ in rows], np.int64),
        np.array([kind == "purchase" for kind in kinds], bool),
        np.array([kind == "dislike" for kind in kinds], bool),
        np.array([order for *_, order in rows], np.int64),
        np.zeros(len(rows), bool),
    )


def _collect(events: Events) -> History:
    return collect(np.zeros(len(events.item_rows), np.int32), events, DECAY)[1]


rows = st.lists(
    st.tuples(
        st.integers(0, 4), st.integers(800, 999), st.sampled_from(["view", "purchase", "dislike"]), st.integers(0, 5)
    ),
    min_size=1, max_size=25,
)  # fmt: skip


@given(rows, st.randoms())
@settings(max_examples=150, deadline=None)
def test_the_order_of_arrival_does_not_matter(given_rows: list[tuple[int, int, str, int]], random: object) -> None:
    # One order is one moment: lines of it that differ in time are not what a shop sends.
    fixed = [(item, 800 + order if kind == "purchase" else day, kind, order) for item, day, kind, order in given_rows]
    shuffled = list(fixed)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for name in History.__slots__:
        np.testing.assert_allclose(
            getattr(_collect(_events(fixed)), name), getattr(_collect(_events(shuffled)), name), rtol=1e-5
        )


def test_newer_events_count_as_if_training_had_seen_them() -> None:
    old = [(1, 900, "purchase", 1), (2, 905, "purchase", 2), (1, 950, "purchase", 3)]
    new = [(1, 990, "purchase", 4), (3, 991, "view", 5), (2, 992, "dislike", 6)]
    merged, whole = merge(_collect(_events(old)), _events(new), DECAY), _collect(_events(old + new))
    for name in History.__slots__:
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=1e-5)


def test_lines_of_one_order_count_once() -> None:
    history = _collect(_events([(1, 900, "purchase", 1)] * 3 + [(1, 901, "purchase", 2)]))
    assert history.orders.tolist() == [2]


def test_a_dislike_outweighs_everything_before_it_and_a_purchase_lifts_it() -> None:
    bought = [(1, 900 + n, "purchase", n) for n in range(9)]
    assert _collect(_events([*bought, (1, 950, "dislike", 99)])).weights[0] < 0
    assert _collect(_events([(1, 880, "dislike", 99), *bought])).weights[0] > 0
    assert merge(_collect(_events(bought)), _events([(1, 950, "dislike", 99)]), DECAY).weights[0] < 0


def test_age_halves() -> None:
    history = _collect(_events([(1, 1000 - 60, "purchase", 1)]))
    assert history.repeats[0] == np.float32(0.5)


def test_nothing_new_changes_nothing() -> None:
    assert merge(EMPTY, _events([]), DECAY) is EMPTY
