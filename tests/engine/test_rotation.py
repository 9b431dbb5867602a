"""What is taken away from an item that was shown a moment ago."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.engine.rotation import penalty


def test_the_penalty_falls_in_a_line_to_nothing() -> None:
    taken = penalty(6, np.array([4, 0, 2, 5]), np.array([0.0, 50.0, 100.0, 1000.0]), 0.5, 100.0)
    assert taken.tolist() == [0.25, 0.0, 0.0, 0.0, 0.5, 0.0]


def test_a_rate_of_one_holds_an_item_back_the_whole_time_and_the_oldest_the_least() -> None:
    taken = penalty(4, np.array([0, 1, 2]), np.array([1.0, 99.0, 100.0]), 1.0, 100.0)
    assert taken[0] > taken[1] > 0.999 and taken[2] == taken[3] == 0.0


@pytest.mark.parametrize("age", [-30.0, 0.0])
def test_a_moment_that_is_yet_to_come_counts_as_now(age: float) -> None:
    assert penalty(1, np.array([0]), np.array([age]), 0.4, 60.0).tolist() == [pytest.approx(0.4)]


def test_nothing_is_taken_where_nothing_was_shown_or_nothing_asked() -> None:
    nobody = np.empty(0, np.int64)
    assert not penalty(3, nobody, nobody, 1.0, 60.0).any()
    assert not penalty(3, np.array([1]), np.array([0.0]), 0.0, 60.0).any()
