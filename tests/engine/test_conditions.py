"""Conditions: every operator on every kind of fact, what is refused by name, and many at random."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from recsvc.engine import conditions
from recsvc.errors import InvalidRequest

RULES = int(os.environ.get("RECSVC_TEST_CONDITIONS", "3000"))
FACTS: dict[str, Any] = {
    "customer.tier": "gold", "customer.segment": None, "history.orders": 3.0, "customer.attributes.vip": True,
    "customer.attributes.age": 1.0, "history.category": frozenset({"tea", "cups"}), "channel": "web",
}  # fmt: skip


def holds(field: str, op: str, value: Any) -> bool:
    return conditions.holds(conditions.parse({"field": field, "op": op, "value": value}), FACTS)


@pytest.mark.parametrize(
    ("field", "op", "value", "wanted"),
    [
        ("customer.tier", "eq", "gold", True), ("customer.tier", "eq", "Gold", False),
        ("customer.tier", "ne", "silver", True), ("customer.tier", "ne", "gold", False),
        ("customer.tier", "in", ["a", "gold"], True), ("customer.tier", "not_in", ["gold"], False),
        ("customer.tier", "lt", "h", True), ("customer.tier", "gte", "h", False),
        ("customer.tier", "exists", True, True), ("customer.segment", "exists", False, True),
        ("customer.segment", "eq", "x", False), ("customer.segment", "ne", "x", False),
        ("customer.segment", "not_in", ["x"], False), ("customer.segment", "lt", "x", False),
        ("history.orders", "eq", 3, True), ("history.orders", "lt", 3, False), ("history.orders", "lte", 3, True),
        ("history.orders", "gt", 2.5, True), ("history.orders", "gte", 4, False), ("history.orders", "in", [1, 3], True),
        ("customer.attributes.vip", "eq", True, True), ("customer.attributes.vip", "eq", 1, False),
        ("customer.attributes.age", "eq", True, False), ("customer.attributes.age", "gte", 1, True),
        ("customer.attributes.age", "gte", "1", False),
        ("history.category", "eq", "tea", True), ("history.category", "ne", "tea", False),
        ("history.category", "ne", "wine", True), ("history.category", "in", ["wine", "cups"], True),
        ("history.category", "not_in", ["wine"], True), ("history.category", "exists", True, True),
    ],
)  # fmt: skip
def test_an_operator_holds_as_it_says(field: str, op: str, value: Any, wanted: bool) -> None:
    assert holds(field, op, value) is wanted


def test_conditions_join_and_say_what_fails() -> None:
    gold = {"field": "customer.tier", "op": "eq", "value": "gold"}
    many = {"field": "history.orders", "op": "gte", "value": 10}
    both = conditions.parse({"all": [gold, many]})
    assert not conditions.holds(both, FACTS) and conditions.failing(both, FACTS) == "history.orders: 3, must be gte 10"
    assert conditions.holds(conditions.parse({"any": [gold, many]}), FACTS)
    assert conditions.holds(conditions.parse({"not": many}), FACTS)
    assert "must not hold" in conditions.failing(conditions.parse({"not": gold}), FACTS)
    assert conditions.failing(conditions.parse({"any": [many]}), FACTS).startswith("none of")
    assert conditions.fields(both) == {"customer.tier", "history.orders"}


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (None, "eligibility"), ([], "eligibility"), ({}, "eligibility.field"), ({"all": {}}, "eligibility.all"),
        ({"all": [1]}, "eligibility.all.0"), ({"any": [], "field": "x"}, "eligibility.field"),
        ({"field": "tier", "op": "eq", "value": 1}, "eligibility.field"),
        ({"field": "customer.attributes.", "op": "eq", "value": 1}, "eligibility.field"),
        ({"field": "history.item_id", "op": "lt", "value": "x"}, "eligibility.op"),
        ({"field": "history.orders", "op": "eq", "value": True}, "eligibility.value"),
        ({"field": "history.orders", "op": "eq", "value": 1e400}, "eligibility.value"),
        ({"field": "history.orders", "op": "eq", "value": 10**5000}, "eligibility.value"),
        ({"field": "history.orders", "op": "in", "value": []}, "eligibility.value"),
        ({"field": "history.orders", "op": "exists", "value": 1}, "eligibility.value"),
        ({"field": "customer.tier", "op": "in", "value": ["a", None]}, "eligibility.value.1"),
        ({"field": "customer.attributes.x", "op": "lt", "value": True}, "eligibility.value"),
        ({"field": "customer.tier", "op": "eq", "value": "x", "more": 1}, "eligibility.more"),
        ({"all": [{"field": "customer.tier", "op": "eq", "value": "x"}] * 100}, "eligibility"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_place(value: Any, place: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        conditions.parse(value)
    assert list(error.value.fields) == [place], error.value.message


def test_many_at_random_are_refused_by_name_or_evaluated() -> None:
    rng = random.Random(5)
    taken = refused = 0
    for _ in range(RULES):
        value = _made_up(rng, 0)
        try:
            found = conditions.parse(value)
        except InvalidRequest as error:
            assert error.message.startswith("eligibility") and error.fields
            refused += 1
            continue
        facts = {name: rng.choice(_VALUES) for name in conditions.fields(found)}
        facts = {name: one if isinstance(one, (str, float, bool)) or one is None else frozenset({"x", 1.0})
                 for name, one in facts.items()}  # fmt: skip
        assert conditions.holds(found, facts) == (conditions.failing(found, facts) == "")
        taken += 1
    assert taken > RULES * 0.05 and refused > RULES * 0.05


_VALUES: list[Any] = [None, True, 1.0, -2.5, "x", "gold", [], ["x", 1], {}, 10**400, "\x00", "é" * 2000, float("inf")]


def _made_up(rng: random.Random, depth: int) -> Any:
    kind = rng.random()
    if kind < 0.35 and depth < 10:
        name = rng.choice(["all", "any", "not"])
        inner: Any = _made_up(rng, depth + 1)
        return {name: inner if name == "not" else [inner, _made_up(rng, depth + 1)][: rng.randint(0, 2)]}
    if kind < 0.45:
        return rng.choice(_VALUES)
    field = rng.choice([*conditions.FIELDS, "customer.attributes.x", "nothing", 1])
    op = rng.choice([*conditions.OPERATORS["any"], "like"])
    value = [rng.choice(["x", 1.0])] if op in {"in", "not_in"} else True if op == "exists" else rng.choice(_VALUES)
    return {"field": field, "op": op, "value": value}
