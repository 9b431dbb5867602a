"""Filters: the grammar, and that arrays and single items are judged as a plain loop over the rows would."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.engine import filters, traits
from recsvc.engine.filters import mask, matches, parse, parse_text
from recsvc.errors import InvalidRequest

TEXTS = ["a", "b", "Ä", "1", ""]
MOMENTS = ["2020-01-01T00:00:00Z", "2024-02-29T12:00:00.25+02:00", 1_600_000_000, 1_600_000_000.5]
SCALARS = [*TEXTS, 0, 1, 1.0, 2.5, -3, True, False, 10**400]
NUMBERS = [-1, 0, 1, 100, 5000, 2**53 - 1]
texts, numbers = st.sampled_from(TEXTS), st.sampled_from(NUMBERS)


def _micro(moment: Any) -> int:
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else datetime.fromtimestamp(moment, UTC)
    return round(at.timestamp() * 1_000_000)


moments = st.sampled_from(MOMENTS)
attributes = st.dictionaries(
    st.sampled_from(["colour", "size", 'o"dd']),
    st.one_of(st.sampled_from([*SCALARS, None]), st.lists(st.sampled_from([*SCALARS, None]), max_size=3), st.just({})),
)
rows = st.fixed_dictionaries({
    "parent_id": st.one_of(st.none(), st.sampled_from(["i0", "i1", "elsewhere", "b"])),
    "brand": st.one_of(st.none(), texts), "categories": st.lists(texts, max_size=3),
    "price_cents": st.one_of(st.none(), numbers), "stock": st.one_of(st.none(), numbers),
    "created_at": st.one_of(st.none(), moments.map(_micro)), "available_from": st.one_of(st.none(), moments.map(_micro)),
    "attributes": attributes.map(lambda value: json.dumps(value) if value else None),
})  # fmt: skip


def _tests(operand: Any, *more: str) -> Any:
    plain = {op: operand for op in ("eq", "ne", *more)}
    several = st.lists(operand, min_size=1, max_size=3)
    return st.dictionaries(
        st.sampled_from([*plain, "in", "not_in", "exists"]), st.none(), min_size=1, max_size=2
    ).flatmap(lambda ops: st.fixed_dictionaries(
        {op: plain.get(op, st.booleans() if op == "exists" else several) for op in ops}
    ))  # fmt: skip


ORDER = ("lt", "lte", "gt", "gte")
values = st.sampled_from(SCALARS[:-1])
FIELDS = {
    "item_id": _tests(st.sampled_from(["i0", "i2", "x"])), "parent_id": _tests(st.sampled_from(["i0", "elsewhere", "x"])),
    "brand": _tests(texts), "category": _tests(texts, "contains"), "price_cents": _tests(numbers, *ORDER),
    "stock": _tests(numbers, *ORDER), "created_at": _tests(moments, *ORDER), "available_from": _tests(moments, *ORDER),
    "attributes.colour": _tests(values, "contains"), 'attributes.o"dd': _tests(values, "contains"),
    "attributes.size": _tests(st.one_of(texts, st.sampled_from([0, 1, 2.5])), *ORDER),
}  # fmt: skip
plain = st.sets(st.sampled_from(list(FIELDS)), max_size=2).flatmap(
    lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in sorted(names)})
)
wanted = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"not": inner}),
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
    ),
    max_leaves=6,
)


def _catalogue(found: list[dict[str, Any]]) -> tuple[list[Any], traits.Traits]:
    items = [SimpleNamespace(item_id=f"i{at}", **row) for at, row in enumerate(found)]
    ids = [one.item_id for one in items] + ["gone"]
    return items, traits.of(ids, {name: row for row, name in enumerate(ids)}, {one.item_id: one for one in items})


def _brute(wanted: dict[str, Any], row: Any) -> bool:
    """The grammar again, straight from its JSON, with no code in common."""
    for name, inner in wanted.items():
        if name == "not":
            held = not _brute(inner, row)
        elif name == "all":
            held = all(_brute(one, row) for one in inner)
        elif name == "any":
            held = any(_brute(one, row) for one in inner)
        else:
            held = all(_test(op, operand, *_has(name, row), name) for op, operand in inner.items())
        if not held:
            return False
    return True


def _has(name: str, row: Any) -> tuple[list[Any] | None, bool]:
    """What a row has under a name, None for nothing; and whether it is several by nature."""
    if name.startswith("attributes."):
        value = json.loads(row.attributes or "{}").get(name[11:])
        found = [one for one in (value if isinstance(value, list) else [value]) if _plain(one)]
        return found or None, isinstance(value, list)
    if name == "category":
        return list(row.categories) or None, True
    if name == "parent_id":
        return [row.parent_id if row.parent_id is not None else row.item_id], False
    if name == "stock":
        return [float("inf") if row.stock is None else row.stock], False
    value = getattr(row, name)
    return (None if value is None else [value]), False


def _plain(value: Any) -> bool:
    return isinstance(value, (str, bool, float)) or (isinstance(value, int) and value != 10**400)


def _test(op: str, operand: Any, has: list[Any] | None, several: bool, name: str) -> bool:
    if op == "exists":
        return (has is not None) == operand
    if has is None:
        return False
    asked = operand if isinstance(operand, list) else [operand]
    if name in {"created_at", "available_from"}:
        asked = [_micro(one) for one in asked]
    found = any(isinstance(a, bool) == isinstance(b, bool) and a == b for a in has for b in asked)
    if op in {"ne", "not_in"}:
        return not found
    if op in {"eq", "in"}:
        return found
    if op == "contains":
        return found and several
    compare = {
        "lt": lambda a, b: a < b,
        "lte": lambda a, b: a <= b,
        "gt": lambda a, b: a > b,
        "gte": lambda a, b: a >= b,
    }
    pairs = [(a, asked[0]) for a in has if not isinstance(a, bool) and isinstance(a, str) == isinstance(asked[0], str)]
    return any(compare[op](a, b) for a, b in pairs)


@settings(max_examples=400, deadline=None)
@given(st.lists(rows, max_size=6), wanted)
def test_a_filter_holds_for_the_items_a_loop_would_find(found: list[dict[str, Any]], asked: dict[str, Any]) -> None:
    items, known = _catalogue(found)
    read = parse(asked)
    expected = [_brute(asked, row) for row in items]
    assert mask(read, known)[:-1].tolist() == expected
    assert [matches(read, row) for row in items] == expected
    assert parse_text(json.dumps(asked)) == read


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.sampled_from([*FIELDS, "all", "any", "not", "eq", "in", "lte", "exists"]), st.text()), inner
        ),
    ),
)


@settings(max_examples=400, deadline=None)
@given(json_values)
def test_whatever_comes_is_a_filter_or_names_what_is_wrong(value: Any) -> None:
    _, known = _catalogue([])
    try:
        assert mask(parse(value), known).dtype == bool
    except InvalidRequest as error:
        (path,) = error.fields
        assert path.startswith("filter") and error.message == f"{path}: {error.fields[path]}"


@settings(max_examples=200, deadline=None)
@given(st.text(st.one_of(st.characters(), st.sampled_from('{}[]":,1\ud800'))))
def test_whatever_text_comes_is_a_filter_or_an_invalid_request(text: str) -> None:
    try:
        assert json.loads(text) is Ellipsis or parse_text(text)
    except ValueError:
        with pytest.raises(InvalidRequest, match=r"^filter: "):
            parse_text(text)
    except InvalidRequest as error:
        assert error.message.startswith("filter")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"price_cents": {"lte": "abc"}}, "filter.price_cents.lte: 'abc', must be a whole number"),
        ({"price_cents": {"lte": True}}, "filter.price_cents.lte: true, must be a whole number"),
        ({"price_cents": {"lte": 1.5}}, "filter.price_cents.lte: 1.5, must be a whole number"),
        ({"stock": {"in": [1, None]}}, "filter.stock.in.1: null, must be a whole number"),
        ({"stock": {"gt": 2**60}}, f"filter.stock.gt: {2**60}, must be at most {2**53 - 1}"),
        ({"brand": "a"}, "filter.brand: 'a', must be an object of operators, as {\"eq\": …}"),
        ({"brand": {}}, "filter.brand: an empty object, must be an object of operators, as {\"eq\": …}"),
        ({"brand": {"lt": "a"}}, "filter.brand.lt: is not an operator of this field; its are eq, ne, in, not_in, exists"),
        ({"brand": {"in": []}}, "filter.brand.in: an empty array, must be an array of 1 to 1000 values"),
        ({"brand": {"exists": 1}}, "filter.brand.exists: 1, must be true or false"),
        ({"brand": {"eq": 1}}, "filter.brand.eq: 1, must be a text of at most 1000 characters"),
        ({"not": {"any": [{"item_id": {"eq": None}}]}},
         "filter.not.any.0.item_id.eq: null, must be a text of at most 1000 characters"),
        ({"all": []}, "filter.all: an empty array, must be an array of at least one filter"),
        ({"not": []}, "filter.not: an empty array, must be an object of fields, each with operators"),
        ({"attributes.size": {"gt": True}}, "filter.attributes.size.gt: true, must be a text or a number"),
        ({"attributes.size": {"eq": {}}},
         "filter.attributes.size.eq: an empty object, must be a text or a number, or true or false"),
        ({"created_at": {"gt": "today"}},
         "filter.created_at.gt: must be RFC 3339 with a time zone, as 2026-11-21T10:00:00Z, or epoch seconds"),
        ([], "filter: an empty array, must be an object of fields, each with operators"),
        ({"all": [{"brand": {"eq": "a"}}] * 100}, "filter: has more than 100 parts"),
    ],
)  # fmt: skip
def test_an_error_names_the_place_what_is_there_and_what_was_wanted(value: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(value)
    assert caught.value.message == message


@pytest.mark.parametrize("name", ["colour", "attributes", "attributes.", "AND"])
def test_an_unknown_field_is_refused_and_the_known_ones_are_named(name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"is not a known field; known are item_id, .* all, any and not") as caught:
        parse({name: {"eq": 1}})
    assert list(caught.value.fields) == [f"filter.{name}"]


def test_a_filter_may_be_nested_eight_deep() -> None:
    deep: dict[str, Any] = {"brand": {"eq": "a"}}
    for _ in range(7):
        deep = {"not": deep}
    parse(deep)
    with pytest.raises(InvalidRequest, match="nested deeper than 8"):
        parse({"not": deep})
    endless: dict[str, Any] = {}
    for _ in range(100_000):
        endless = {"not": endless}
    with pytest.raises(InvalidRequest, match="nested deeper than 8"):
        parse(endless)


def test_a_column_of_attributes_is_read_once_and_renewed_in_place() -> None:
    items, known = _catalogue([{**_BLANK, "attributes": '{"colour": "red"}'}, _BLANK])
    red = parse({"attributes.colour": {"eq": "red"}})
    first = known.attributes.column("colour")
    assert mask(red, known).tolist() == [True, False, False] and known.attributes.column("colour") is first
    newer = {"i1": SimpleNamespace(**{**vars(items[1]), "attributes": '{"colour": ["blue", "red"]}'})}
    now = traits.renewed(known, ["i1", "i0"], newer, {one.item_id: one for one in items})
    assert mask(red, now).tolist() == [False, True, False] and mask(red, known).tolist() == [True, False, False]
    assert np.array_equal(mask(filters.EVERYTHING, now), [True] * 3)


_BLANK: dict[str, Any] = {
    "parent_id": None, "brand": None, "categories": [], "price_cents": None, "stock": None, "created_at": None,
    "available_from": None, "attributes": None,
}  # fmt: skip
