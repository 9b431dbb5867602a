"""Filters over HTTP: as a part of a body, and as the document describes them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationInfo

from recsvc import intake
from recsvc.flows.rules import FIELDS, OPERATORS, checked_filter
from recsvc.web.schemas import EPOCH, MOMENT

_REF: Final = {"$ref": "#/components/schemas/Filter"}
_TEXT: Final = {"type": "string", "maxLength": 1000}
_NUMBER: Final = {"type": "number", "exclusiveMinimum": -1e300, "exclusiveMaximum": 1e300}
_WHOLE: Final = {"type": "integer", "minimum": -intake.MAX_INT, "maximum": intake.MAX_INT}
_TIME: Final = {"oneOf": [MOMENT, EPOCH]}
# kind → what an operator is given: of any kind, and of those that compare.
_OPERANDS: Final[dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "text": (_TEXT, _TEXT), "texts": (_TEXT, _TEXT), "whole": (_WHOLE, _WHOLE), "moment": (_TIME, _TIME),
    "any": ({"anyOf": [_TEXT, _NUMBER, {"type": "boolean"}]}, {"anyOf": [_TEXT, _NUMBER]}),
}  # fmt: skip


def _tests(kind: str) -> dict[str, Any]:
    plain, compared = _OPERANDS[kind]
    several = {"type": "array", "items": plain, "minItems": 1, "maxItems": 1000}
    given = {"in": several, "not_in": several, "exists": {"type": "boolean"}}
    given |= {op: compared for op in OPERATORS[kind] if op[:2] in {"lt", "gt"}}
    return {
        "type": "object", "minProperties": 1, "additionalProperties": False,
        "properties": {op: given.get(op, plain) for op in OPERATORS[kind]},
    }  # fmt: skip


def _describe(schema: dict[str, Any]) -> None:
    several = {"type": "array", "items": _REF, "minItems": 1, "maxItems": 100}
    schema.clear()
    schema |= {
        "type": "object", "title": "Filter", "additionalProperties": False,
        "description": "Fields, each with operators; all must hold. At most 8 deep and of 100 parts.",
        "properties": {
            "all": several, "any": several, "not": _REF, **{name: _tests(kind) for name, kind in FIELDS.items()},
        },
        "patternProperties": {r"^attributes\.[^\n]": _tests("any")}, "propertyNames": {"maxLength": 1000},
    }  # fmt: skip


class Filter(BaseModel):
    """Only what the document says of a filter; it is read by the engine's own parser, which names every place."""

    model_config = ConfigDict(json_schema_extra=_describe)


def _check(value: Any, info: ValidationInfo) -> Any:
    return checked_filter(value, info.field_name or "filter")


def _check_given(value: Any, info: ValidationInfo) -> Any:
    return None if value is None else _check(value, info)


FilterIn = Annotated[Any, PlainValidator(_check, json_schema_input_type=Filter)]
FilterOrNone = Annotated[Any, PlainValidator(_check_given, json_schema_input_type=Filter | None)]
