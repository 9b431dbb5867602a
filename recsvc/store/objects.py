"""Objects of JSON lines as rows: the fields within objects by their path, the lines of an order apart."""

from __future__ import annotations

import json
from typing import Any, Final

from recsvc.errors import InvalidRequest

NO_IDS: Final = (float, bool, dict, list)


def keys(text: str, lines: str | None) -> list[str]:
    """Return the names of the fields in the first lines, those within objects too."""
    names: dict[str, None] = {}
    for line in text.splitlines()[:200]:
        try:
            for row in unfolded(json.loads(line), lines):
                names |= dict.fromkeys(row) | dict.fromkeys(inner(row))
        except (ValueError, TypeError, AttributeError, InvalidRequest):
            continue
    return list(names)


def unfolded(value: dict[str, Any], lines: str | None) -> list[dict[str, Any]]:
    """Return the lines of an order, each with what the order says; the object itself when `lines` is None.

    Raises:
        InvalidRequest: the field `lines` holds no list of objects.
    """
    if lines is None:
        return [value]
    inner = value.get(lines)
    if not isinstance(inner, list) or not all(isinstance(one, dict) for one in inner):
        raise InvalidRequest(f"{lines}: must be a list of lines")
    whole = {name: one for name, one in value.items() if name != lines}
    return [{**whole, **{f"{lines}.{name}": part for name, part in one.items()}} for one in inner]


def inner(row: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of objects within a row by their path, as `customer.id`."""
    found: dict[str, Any] = {}
    objects = [(name, one) for name, one in row.items() if isinstance(one, dict)]
    while objects:
        path, value = objects.pop()
        for name, one in value.items():
            found[f"{path}.{name}"] = one
            if isinstance(one, dict):
                objects.append((f"{path}.{name}", one))
    return found


def text(value: Any) -> str | None:
    """Return a value as a column of text holds it."""
    if value is None or isinstance(value, str):
        return value
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
