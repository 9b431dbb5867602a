"""Protocols: who is measured on what; nothing of the truth in the history."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.errors import InvalidRequest
from training.benchmark import protocols
from training.benchmark.protocols import Case


def _csv(path: Path, header: str, rows: list[tuple[Any, ...]]) -> Path:
    path.write_text("\n".join([header, *(",".join(str(one) for one in row) for row in rows)]) + "\n")
    return path


def _baskets(folder: Path, rows: list[tuple[Any, ...]], dated: bool = False) -> Case:
    header = "customer_id,basket,item_id" + (",occurred_at" if dated else "")
    return protocols.next_basket(_csv(folder / "baskets.csv", header, rows))


def _history(case: Case) -> dict[Any, list[set[Any]]]:
    """customer id → item ids of each basket of the history, in order."""
    found: dict[Any, dict[int, set[Any]]] = defaultdict(lambda: defaultdict(set))
    task = case.task
    ids = zip(
        case.customer_ids.take(task.customers).to_pylist(), case.item_ids.take(task.items).to_pylist(), strict=True
    )
    assert task.baskets is not None
    for (customer, item), basket in zip(ids, task.baskets.tolist(), strict=True):
        found[customer][basket].add(item)
    return {customer: [baskets[i] for i in range(len(baskets))] for customer, baskets in found.items()}


def _truth(case: Case) -> dict[Any, set[Any]]:
    owners = case.customer_ids.take(case.task.asked[case.truth.owners]).to_pylist()
    found: dict[Any, set[Any]] = defaultdict(set)
    for owner, item in zip(owners, case.item_ids.take(case.truth.items).to_pylist(), strict=True):
        found[owner].add(item)
    return dict(found)


def test_top_n_measures_those_with_a_history_on_all_items(tmp_path: Path) -> None:
    train = _csv(tmp_path / "train.csv", "customer_id,item_id", [(1, "a"), (1, "b"), (1, "a"), (2, "b"), (4, "c")])
    test = _csv(tmp_path / "test.csv", "customer_id,item_id", [(1, "c"), (3, "a"), (2, "z"), (2, "a"), (2, "z")])
    case = protocols.top_n(train, test)
    assert _truth(case) == {1: {"c"}, 2: {"a", "z"}}
    assert case.left_out == {"test customers without training lines": 1}
    assert case.task.item_count == 4 and case.task.k == 20 and case.task.masked
    pairs = zip(
        case.customer_ids.take(case.task.customers).to_pylist(),
        case.item_ids.take(case.task.items).to_pylist(),
        strict=True,
    )
    assert list(pairs) == [(1, "a"), (1, "b"), (2, "b"), (4, "c")]


def test_top_n_without_a_known_test_customer_is_refused(tmp_path: Path) -> None:
    train = _csv(tmp_path / "train.csv", "customer_id,item_id", [(1, "a")])
    test = _csv(tmp_path / "test.csv", "customer_id,item_id", [(2, "a"), (3, "a")])
    with pytest.raises(InvalidRequest, match=r"test\.csv: customer_id: none of its 2 customers is in .*train\.csv"):
        protocols.top_n(train, test)


def test_the_last_basket_is_the_truth_and_numbers_go_by_size(tmp_path: Path) -> None:
    rows = [
        ("x", 10, "c"),
        ("x", 9, "b"),
        ("x", 9, "a"),
        ("x", 9, "a"),
        ("x", 2, "a"),
        ("y", 1, "a"),
        ("z", 5, "q"),
        ("z", 6, "a"),
    ]
    case = _baskets(tmp_path, rows)
    assert _history(case) == {"x": [{"a"}, {"a", "b"}], "z": [{"q"}]}
    assert _truth(case) == {"x": {"c"}, "z": {"a"}}
    assert case.left_out == {"customers with a single basket": 1}
    assert case.task.at is None and not case.task.masked and case.task.k == 10
    assert len(case.task.items) == 4


def test_dates_order_baskets_before_their_numbers_do(tmp_path: Path) -> None:
    rows = [(1, 3, "a", "2026-01-01"), (1, 1, "b", "2026-01-03"), (1, 2, "c", "2026-01-02"), (1, 5, "d", "2026-01-03")]
    case = _baskets(tmp_path, rows, dated=True)
    assert _history(case) == {1: [{"a"}, {"c"}, {"b"}]}
    assert _truth(case) == {1: {"d"}}
    assert case.task.at is not None and np.diff(case.task.at).tolist() == [86_400, 86_400]


def test_customers_with_one_basket_each_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"baskets\.csv: basket: none of its 2 customers has two baskets"):
        _baskets(tmp_path, [(1, 1, "a"), (1, 1, "b"), (2, 1, "a")])


ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12), st.integers(0, 4)), min_size=1, max_size=40)


@settings(max_examples=50, deadline=None)
@given(rows=ROWS, dated=st.booleans(), shuffle=st.randoms())
def test_next_basket_is_what_a_loop_over_dictionaries_finds(
    tmp_path_factory: Any, rows: list[Any], dated: bool, shuffle: Any
) -> None:
    folder = tmp_path_factory.mktemp("loop")
    when = {(customer, basket): (basket * 7 + customer) % 5 for customer, basket, _ in rows}
    told = [(c, b, i, f"2026-01-0{when[c, b] + 1}") if dated else (c, b, i) for c, b, i in rows]
    expected: dict[Any, dict[Any, set[Any]]] = defaultdict(lambda: defaultdict(set))
    for c, b, i in rows:
        expected[c][(when[c, b] if dated else 0, b)].add(i)
    ordered = {c: [baskets[one] for one in sorted(baskets)] for c, baskets in expected.items() if len(baskets) > 1}
    if not ordered:
        with pytest.raises(InvalidRequest):
            _baskets(folder, told, dated)
        return
    case = _baskets(folder, told, dated)
    assert _history(case) == {c: baskets[:-1] for c, baskets in ordered.items()}
    assert _truth(case) == {c: baskets[-1] for c, baskets in ordered.items()}
    # The order of a file's rows changes nothing.
    shuffle.shuffle(told)
    again = _baskets(folder, told, dated)
    assert (
        again.task.items.tolist() == case.task.items.tolist()
        and again.truth.items.tolist() == case.truth.items.tolist()
    )


@pytest.mark.parametrize(
    ("rankings", "words"),
    [
        ([[0] * 19], "must be int32"), ([[4, *[-1] * 19]], "codes from -1 to 4"), ([[2, 2, *[-1] * 18]], "twice"),
        ([[0, 2, *[-1] * 18]], "although masked"),
    ],
)  # fmt: skip
def test_rankings_that_would_be_measured_wrongly_are_refused(tmp_path: Path, rankings: Any, words: str) -> None:
    train = _csv(tmp_path / "train.csv", "customer_id,item_id", [(1, "a"), (1, "b"), (2, "c"), (2, "d")])
    task = protocols.top_n(train, _csv(tmp_path / "test.csv", "customer_id,item_id", [(1, "c")])).task
    protocols.check("good", np.array([[3, 2, *[-1] * 18]], np.int32), task, protocols.held(task))
    with pytest.raises(ValueError, match=f"^bad: .*{words}"):
        protocols.check("bad", np.array(rankings, np.int32), task, protocols.held(task))
