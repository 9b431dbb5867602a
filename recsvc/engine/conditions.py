"""Conditions: for whom an offer is, in a small typed rule language over customer, history, karma, cart, channel, time.

A condition is `{field, op, value}`; `{"all": […]}`, `{"any": […]}` and `{"not": …}` hold conditions. As in filters, a
comparison with what is not known is false, `ne` and `not_in` too; `not` turns that around. Of several values (items
bought, preferences) one has to equal; for `ne` and `not_in`, none may.

It is read once, when the offer is written or loaded, into a function of the facts, so that hundreds of offers are
judged within a millisecond; the facts are worked out when a condition first asks for them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from recsvc import intake
from recsvc.errors import InvalidRequest

MAX_DEPTH: Final = 8
MAX_NODES: Final = 100
MAX_VALUES: Final = 1000
MAX_TEXT: Final = 1000

Scalar = str | float | bool
Fact = Scalar | frozenset[Any] | None
Facts = Mapping[str, Fact]

_EQUAL: Final = ("eq", "ne", "in", "not_in", "exists")
_ORDER: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge,
}  # fmt: skip
# field → the kind of its values: text, texts (several), number, or any of them, as attributes hold.
FIELDS: Final[dict[str, str]] = {
    "customer.tier": "text", "customer.segment": "text", "customer.locale": "text", "customer.time_zone": "text",
    "customer.preferred_channel": "text", "customer.preferences": "texts",
    "history.orders": "number", "history.items": "number", "history.days_since_order": "number",
    "history.item_id": "texts", "history.category": "texts",
    "karma.customer": "number",
    "cart.items": "number", "cart.item_id": "texts", "cart.category": "texts", "cart.value_cents": "number",
    "channel": "text", "time.hour": "number", "time.weekday": "number", "time.date": "text",
}  # fmt: skip
ATTRIBUTES: Final = "customer.attributes."
OPERATORS: Final[dict[str, tuple[str, ...]]] = {
    "text": (*_EQUAL, *_ORDER), "texts": _EQUAL, "number": (*_EQUAL, *_ORDER), "any": (*_EQUAL, *_ORDER),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that was read. op: `all`, `any` or `not` of `parts`, else an operator between `field` and `value`:
    a text, a number, a boolean, or for `in` and `not_in` several."""

    op: str
    field: str = ""
    value: Scalar | tuple[Scalar, ...] = True
    parts: tuple[Condition, ...] = ()


def parse(value: object, path: str = "eligibility") -> Condition:
    """Return the condition that a JSON value holds.

    Args:
        path: how errors name it.

    Raises:
        InvalidRequest: names the place within the condition, what is there and what was wanted.
    """
    return _Reader(path).condition(value, path, 1)


def compiled(condition: Condition) -> Callable[[Facts], bool]:
    """Return the function that says whether a condition holds for facts."""
    if condition.op == "not":
        inner = compiled(condition.parts[0])
        return lambda facts: not inner(facts)
    if condition.op in {"all", "any"}:
        parts = [compiled(one) for one in condition.parts]
        if condition.op == "all":
            return lambda facts: all(part(facts) for part in parts)
        return lambda facts: any(part(facts) for part in parts)
    field, holds = condition.field, _test(condition)
    return lambda facts: holds(facts[field])


def holds(condition: Condition, facts: Facts) -> bool:
    """Whether a condition holds for facts."""
    return compiled(condition)(facts)


def failing(condition: Condition, facts: Facts) -> str:
    """Return in words what of a condition does not hold; empty where it does."""
    if holds(condition, facts):
        return ""
    if condition.op == "all":
        return next(filter(None, (failing(part, facts) for part in condition.parts)), "")
    if condition.op == "any":
        return "none of: " + "; ".join(failing(part, facts) for part in condition.parts)
    if condition.op == "not":
        return f"must not hold: {_words(condition.parts[0])}"
    return f"{condition.field}: {_shown(facts[condition.field])}, must be {_wanted(condition)}"


def fields(condition: Condition) -> frozenset[str]:
    """Return the fields that a condition looks at."""
    if condition.parts:
        return frozenset().union(*(fields(part) for part in condition.parts))
    return frozenset((condition.field,)) if condition.field else frozenset()


def _test(condition: Condition) -> Callable[[Fact], bool]:
    op, value = condition.op, condition.value
    if op == "exists":
        return lambda fact: (fact is not None) == value
    if op in _ORDER:
        compare, kind = _ORDER[op], type(value)
        return lambda fact: type(fact) is kind and bool(compare(fact, value))
    # By type too: to Python, true and 1 are equal.
    asked = frozenset((type(one), one) for one in (value if isinstance(value, tuple) else (value,)))
    negative = op in {"ne", "not_in"}

    def equals(fact: Fact) -> bool:
        if fact is None:
            return False
        if isinstance(fact, frozenset):
            return any((type(one), one) in asked for one in fact) != negative
        return ((type(fact), fact) in asked) != negative

    return equals


def _wanted(condition: Condition) -> str:
    value = condition.value
    if condition.op == "exists":
        return "known" if value else "unknown"
    shown = ", ".join(_shown(one) for one in value[:5]) if isinstance(value, tuple) else _shown(value)
    return f"{condition.op} {shown}{', …' if isinstance(value, tuple) and len(value) > 5 else ''}"


def _words(condition: Condition) -> str:
    if condition.parts:
        return f"{condition.op} of {len(condition.parts)} conditions"
    return f"{condition.field} {_wanted(condition)}"


def _shown(fact: object) -> str:
    if fact is None:
        return "not known"
    if isinstance(fact, frozenset):
        return f"{len(fact)} values"
    if isinstance(fact, float):
        return f"{fact:g}"
    return intake.shorten(str(fact))


class _Reader:
    """Reads one condition, and counts its parts."""

    def __init__(self, path: str) -> None:
        self._path, self._nodes = path, 0

    def condition(self, value: object, path: str, depth: int) -> Condition:
        """Return the condition that `value`, which stands at `path`, holds. Raises as `parse`."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _wrong(self._path, f"has more than {MAX_NODES} conditions")
        if depth > MAX_DEPTH:
            raise _wrong(self._path, f"nested deeper than {MAX_DEPTH}")
        if not isinstance(value, dict):
            raise _wrong(path, f"{_given(value)}, must be an object: field, op and value, or all, any or not")
        join = [name for name in ("all", "any", "not") if name in value]
        if not join:
            return self._comparison(value, path)
        if len(value) > 1:
            other = next(name for name in value if name != join[0])
            raise _wrong(f"{path}.{_name(other)}", f"must not stand beside {join[0]}")
        inner, here = value[join[0]], f"{path}.{join[0]}"
        if join[0] == "not":
            return Condition("not", parts=(self.condition(inner, here, depth + 1),))
        if not isinstance(inner, list) or not inner:
            raise _wrong(here, f"{_given(inner)}, must be an array of at least one condition")
        parts = tuple(self.condition(one, f"{here}.{place}", depth + 1) for place, one in enumerate(inner))
        return Condition(join[0], parts=parts)

    def _comparison(self, value: dict[str, Any], path: str) -> Condition:
        for name in value:
            if name not in {"field", "op", "value"}:
                raise _wrong(f"{path}.{_name(name)}", "is not a known field; a condition has field, op and value")
        for name in ("field", "op", "value"):
            if name not in value:
                raise _wrong(f"{path}.{name}", "is missing")
        field, op = value["field"], value["op"]
        kind = _kind(field)
        if kind is None:
            known = ", ".join((*FIELDS, f"{ATTRIBUTES}NAME"))
            raise _wrong(f"{path}.field", f"{_given(field)}, must be one of {known}")
        if not isinstance(op, str) or op not in OPERATORS[kind]:
            raise _wrong(f"{path}.op", f"{_given(op)}, must be one of {', '.join(OPERATORS[kind])} for {_name(field)}")
        return Condition(op, field, _value(op, kind, value["value"], f"{path}.value"))


def _kind(field: object) -> str | None:
    """Return the kind of a field's values; None where there is no such field."""
    if not isinstance(field, str):
        return None
    if field.startswith(ATTRIBUTES):
        name = field.removeprefix(ATTRIBUTES)
        return "any" if name and len(field) <= MAX_TEXT and "\x00" not in name else None
    return FIELDS.get(field)


def _value(op: str, kind: str, value: object, path: str) -> Scalar | tuple[Scalar, ...]:
    if op == "exists":
        if not isinstance(value, bool):
            raise _wrong(path, f"{_given(value)}, must be true or false")
        return value
    if op in {"in", "not_in"}:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_VALUES:
            raise _wrong(path, f"{_given(value)}, must be an array of 1 to {MAX_VALUES} values")
        return tuple(_scalar(kind, one, f"{path}.{place}") for place, one in enumerate(value))
    found = _scalar(kind, value, path)
    if op in _ORDER and isinstance(found, bool):
        raise _wrong(path, f"{_given(value)}, must be a number or a text to compare with {op}")
    return found


def _scalar(kind: str, value: object, path: str) -> Scalar:
    if kind != "number" and isinstance(value, str):
        if len(value) > MAX_TEXT or "\x00" in value:
            raise _wrong(path, f"must be at most {MAX_TEXT} characters without NUL")
        return value
    if kind == "any" and isinstance(value, bool):
        return value
    if kind in {"number", "any"} and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not abs(value) <= 1e300:
            raise _wrong(path, "must be between -1e300 and 1e300")
        return float(value)
    wanted = {"number": "a number", "any": "a text, a number, true or false"}.get(kind, "a text")
    raise _wrong(path, f"{_given(value)}, must be {wanted}")


def _given(value: object) -> str:
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'an array'} of {len(value)}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    # Python refuses to write an integer of many thousand digits.
    return "a number too large" if isinstance(value, int) and abs(value) > 10**30 else intake.shorten(str(value))


def _name(name: object) -> str:
    return str(name).encode("utf-8", "replace").decode()[:64]


def _wrong(path: str, why: str) -> InvalidRequest:
    path = path[:300]
    return InvalidRequest(f"{path}: {why}", {path: why})
