"""Filters: which items a list may hold, or a rule is about, in a small typed grammar.

A filter is an object of fields, each with operators, all of which must hold; `all` and `any` hold filters, `not` holds
one: `{"price_cents": {"lte": 5000}, "not": {"category": {"in": ["wine"]}}}`. An empty filter holds for every item.

A comparison with what an item does not have is false, `ne` and `not_in` too; `not` turns that around. Of several
values (categories, an attribute that is a list) one has to hold; for `ne` and `not_in`, each. Unlimited stock is more
than any number, and an item without a parent is its own.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from recsvc import intake
from recsvc.artifact import Array
from recsvc.engine.traits import MICROSECONDS, MOST, Column, Item, Scalar, Traits, Value, attribute
from recsvc.errors import InvalidRequest
from recsvc.strict_json import read_json

MAX_DEPTH: Final = 8
MAX_NODES: Final = 100
MAX_VALUES: Final = 1000
MAX_TEXT: Final = 1000

_EQUAL: Final = ("eq", "ne", "in", "not_in", "exists")
_ORDER: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge,
}  # fmt: skip
# field → the kind of its values. Attributes stand beside them, as `attributes.NAME`.
FIELDS: Final[dict[str, str]] = {
    "item_id": "text", "parent_id": "text", "brand": "text", "category": "texts", "price_cents": "whole",
    "stock": "whole", "created_at": "moment", "available_from": "moment",
}  # fmt: skip
ATTRIBUTES: Final = "attributes."
OPERATORS: Final[dict[str, tuple[str, ...]]] = {
    "text": _EQUAL, "texts": (*_EQUAL, "contains"), "whole": (*_EQUAL, *_ORDER), "moment": (*_EQUAL, *_ORDER),
    "any": (*_EQUAL, *_ORDER, "contains"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that was read. op: `all`, `any` or `not` of `parts`, else an operator between `field` and `value`:
    a text, a number (moments as epoch seconds), a boolean, or for `in` and `not_in` several."""

    op: str
    field: str = ""
    value: Value = None
    parts: tuple[Filter, ...] = ()


EVERYTHING: Final = Filter("all")


def parse_text(text: str, path: str = "filter") -> Filter:
    """Return the filter that JSON text holds, as in a query string. Raises as `parse`."""
    try:
        value = read_json(text.encode("utf-8", "surrogatepass"))
    except InvalidRequest as error:
        why = error.message.removeprefix("body: ")
        raise InvalidRequest(f"{path}: {why}", {path: why}) from None
    return parse(value, path)


def parse(value: object, path: str = "filter") -> Filter:
    """Return the filter that a JSON value holds.

    Args:
        path: how errors name it.

    Raises:
        InvalidRequest: names the place within the filter, what is there and what was wanted.
    """
    return _Reader(path).filter(value, path, 1)


def mask(wanted: Filter, traits: Traits) -> Array:
    """Return (n,) bool: the items for which a filter holds."""
    if wanted.op == "not":
        return ~mask(wanted.parts[0], traits)
    if wanted.op in {"all", "any"}:
        join = np.logical_and if wanted.op == "all" else np.logical_or
        found = np.full(len(traits.item_ids), wanted.op == "all")
        for part in wanted.parts:
            join(found, mask(part, traits), out=found)
        return found
    if wanted.field in {"item_id", "parent_id"}:
        return _by_id(wanted, traits)
    if wanted.field == "category":
        return _by_category(wanted, traits)
    if wanted.field in FIELDS and wanted.field != "brand":
        return _by_number(wanted, getattr(traits, wanted.field))
    name = wanted.field.removeprefix(ATTRIBUTES)
    return _by_value(wanted, traits.brand if wanted.field == "brand" else traits.attributes.column(name))


def matches(wanted: Filter, item: Item) -> bool:
    """Whether a filter holds for one item of the catalogue, known to the model or not."""
    if wanted.op == "not":
        return not matches(wanted.parts[0], item)
    if wanted.op in {"all", "any"}:
        return (all if wanted.op == "all" else any)(matches(part, item) for part in wanted.parts)
    return _test(wanted)(_value(wanted.field, item))


def _by_id(wanted: Filter, traits: Traits) -> Array:
    n = len(traits.item_ids)
    if wanted.op == "exists":
        return np.full(n, wanted.value)
    own = wanted.field == "item_id"
    rows = [traits.rows.get(str(one), -1 if own else n + traits.parents.get(str(one), -n - 1)) for one in _each(wanted)]
    found = np.isin(np.arange(n) if own else traits.parent, rows)
    return ~found if wanted.op in {"ne", "not_in"} else found


def _by_category(wanted: Filter, traits: Traits) -> Array:
    found = np.zeros(len(traits.item_ids), bool)
    negative = wanted.op in {"ne", "not_in"}
    if negative or wanted.op == "exists":
        for rows in traits.categories.values():
            found[rows] = True
    if wanted.op == "exists":
        return found if wanted.value else ~found
    for one in _each(wanted):
        if one in traits.categories:
            found[traits.categories[str(one)]] = not negative
    return found


def _by_number(wanted: Filter, values: Array) -> Array:
    if wanted.op in _ORDER:
        return np.asarray(_ORDER[wanted.op](values, wanted.value))  # false beside NaN
    there = ~np.isnan(values)
    if wanted.op == "exists":
        return there if wanted.value else ~there
    found = np.isin(values, np.array(_each(wanted), np.float64))
    return there & ~found if wanted.op in {"ne", "not_in"} else found


def _by_value(wanted: Filter, column: Column) -> Array:
    # Each value is looked at once, however many items have it; what nothing has stands last, where code −1 finds it.
    holds = _test(wanted)
    return np.array([holds(value) for value in (*column.values, None)], bool)[column.codes]


def _test(wanted: Filter) -> Callable[[Value], bool]:
    """Return the function that says whether an operator holds for what an item has."""
    if wanted.op == "exists":
        return lambda value: (value is not None) == wanted.value
    if wanted.op in _ORDER:
        return functools.partial(_compares, _ORDER[wanted.op], wanted.value)
    # By type too: to Python, true and 1 are equal.
    asked = {(type(one), one) for one in _each(wanted)}
    return functools.partial(_equals, asked, wanted.op in {"ne", "not_in"}, wanted.op == "contains")


def _compares(compare: Callable[[Any, Any], Any], than: Value, value: Value) -> bool:
    several = value if isinstance(value, tuple) else (value,)
    return any(type(one) is type(than) and compare(one, than) for one in several)


def _equals(asked: set[tuple[type, Scalar]], negative: bool, several_only: bool, value: Value) -> bool:
    if isinstance(value, tuple):
        return any((type(one), one) in asked for one in value) != negative
    if value is None or several_only:
        return False
    return ((type(value), value) in asked) != negative


def _each(wanted: Filter) -> tuple[Scalar, ...]:
    value = wanted.value
    return value if isinstance(value, tuple) else () if value is None else (value,)


def _value(field: str, item: Item) -> Value:
    """Return what an item of the catalogue has under the name of a field."""
    if field.startswith(ATTRIBUTES):
        return attribute(item.attributes, field.removeprefix(ATTRIBUTES))
    if field == "category":
        return tuple(item.categories or ()) or None
    if field == "parent_id":
        return item.item_id if item.parent_id is None else item.parent_id
    found = getattr(item, field)
    if FIELDS[field] == "moment":
        return None if found is None else found / MICROSECONDS
    if field == "stock" and found is None:
        return float("inf")
    return float(found) if isinstance(found, int) else found


class _Reader:
    """Reads one filter, and counts its parts."""

    def __init__(self, path: str) -> None:
        self._path, self._nodes = path, 0

    def filter(self, value: object, path: str, depth: int) -> Filter:
        """Return the filter that `value`, which stands at `path`, holds. Raises as `parse`."""
        if not isinstance(value, dict):
            raise _wrong(path, f"{_shown(value)}, must be an object of fields, each with operators")
        if depth > MAX_DEPTH:
            raise _wrong(self._path, f"nested deeper than {MAX_DEPTH}")
        parts: list[Filter] = []
        for name, inner in value.items():
            parts += self._entry(name, inner, f"{path}.{_name(name)}", depth)
        return parts[0] if len(parts) == 1 else Filter("all", parts=tuple(parts))

    def _entry(self, name: str, value: object, path: str, depth: int) -> list[Filter]:
        if name in {"all", "any"}:
            self._count()
            if not isinstance(value, list) or not value:
                raise _wrong(path, f"{_shown(value)}, must be an array of at least one filter")
            inner = tuple(self.filter(one, f"{path}.{at}", depth + 1) for at, one in enumerate(value))
            return [Filter(name, parts=inner)]
        if name == "not":
            self._count()
            return [Filter("not", parts=(self.filter(value, path, depth + 1),))]
        kind = FIELDS.get(name) or ("any" if name.startswith(ATTRIBUTES) and name != ATTRIBUTES else None)
        if kind is None or len(name) > MAX_TEXT:
            raise _wrong(
                path, f"is not a known field; known are {', '.join(FIELDS)}, attributes.NAME, all, any and not"
            )
        if not isinstance(value, dict) or not value:
            raise _wrong(path, f'{_shown(value)}, must be an object of operators, as {{"eq": …}}')
        return [self._one(name, kind, op, operand, f"{path}.{_name(op)}") for op, operand in value.items()]

    def _one(self, name: str, kind: str, op: str, value: object, path: str) -> Filter:
        self._count()
        if op not in OPERATORS[kind]:
            raise _wrong(path, f"is not an operator of this field; its are {', '.join(OPERATORS[kind])}")
        if op == "exists":
            if not isinstance(value, bool):
                raise _wrong(path, f"{_shown(value)}, must be true or false")
            return Filter(op, name, value)
        if op in {"in", "not_in"}:
            if not isinstance(value, list) or not 1 <= len(value) <= MAX_VALUES:
                raise _wrong(path, f"{_shown(value)}, must be an array of 1 to {MAX_VALUES} values")
            each = tuple(_operand(kind, op, one, f"{path}.{at}") for at, one in enumerate(value))
            return Filter(op, name, each)
        return Filter(op, name, _operand(kind, op, value, path))

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _wrong(self._path, f"has more than {MAX_NODES} parts")


def _operand(kind: str, op: str, value: object, path: str) -> Scalar:
    """Return one value that is asked for, as traits hold it."""
    if kind == "whole":
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
            raise _wrong(path, f"{_shown(value)}, must be a whole number")
        if abs(value) > intake.MAX_INT:
            raise _wrong(path, f"{_shown(value)}, must be at most {intake.MAX_INT}")
        return float(value)
    if kind == "moment":
        try:
            return intake.moment(value, intake.LATEST).timestamp()
        except ValueError as error:
            raise _wrong(path, str(error)) from None
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    if kind in {"text", "texts"}:
        raise _wrong(path, f"{_shown(value)}, must be a text of at most {MAX_TEXT} characters")
    if isinstance(value, bool) and op not in _ORDER:
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < MOST:
        return float(value)
    raise _wrong(path, f"{_shown(value)}, must be a text or a number{'' if op in _ORDER else ', or true or false'}")


def _shown(value: object) -> str:
    if isinstance(value, (dict, list)):
        return ("an empty " if not value else "an ") + ("object" if isinstance(value, dict) else "array")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return intake.shorten(value) if isinstance(value, str) else intake.shorten(str(value))[1:-1]


def _name(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "…"


def _wrong(path: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{path}: {why}", {path: why})
