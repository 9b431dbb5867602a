"""Offers as they come in and as they are stored, as pydantic models."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, model_validator

from recsvc import intake
from recsvc.concepts import CHANNELS, OFFER_KINDS
from recsvc.errors import InvalidRequest
from recsvc.flows import terms
from recsvc.web.outputs import Out
from recsvc.web.schemas import (
    _INTEGRAL,
    _NO_NUL,
    AnyMoment,
    Channel,
    Count,
    Currency,
    Id,
    In,
    Text,
    Title,
    Words,
    _one_of,
    _one_of_schema,
    _plain,
)

OfferKind = Annotated[str, _one_of(OFFER_KINDS), _one_of_schema(OFFER_KINDS, "What it gives.")]
_REF: Final = {"$ref": "#/components/schemas/Condition"}
_TEXT: Final = {"type": "string", "maxLength": 1000, "pattern": _NO_NUL}
_NUMBER: Final = {"type": "number", "exclusiveMinimum": -1e300, "exclusiveMaximum": 1e300}
# kind of a field's values → what an operator compares with.
_OPERANDS: Final[dict[str, dict[str, Any]]] = {
    "text": _TEXT, "texts": _TEXT, "number": _NUMBER, "any": {"anyOf": [_TEXT, _NUMBER, {"type": "boolean"}]},
}  # fmt: skip


def _comparison(kind: str, field: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the schemas of a condition on fields of one kind."""
    one = _OPERANDS[kind]
    ordered = {"anyOf": [_TEXT, _NUMBER]} if kind == "any" else one
    several = {"type": "array", "items": one, "minItems": 1, "maxItems": 1000}
    operands: dict[str, dict[str, Any]] = {"in": several, "not_in": several, "exists": {"type": "boolean"}}
    operands |= {op: ordered for op in terms.OPERATORS[kind] if op[:2] in {"lt", "gt"}}
    return [
        {
            "type": "object", "additionalProperties": False, "required": ["field", "op", "value"],
            "properties": {"field": field, "op": {"const": op}, "value": operands.get(op, one)},
        }
        for op in terms.OPERATORS[kind]
    ]  # fmt: skip


def _describe(schema: dict[str, Any]) -> None:
    several = {"type": "array", "items": _REF, "minItems": 1, "maxItems": 90}
    joined = [
        {"type": "object", "additionalProperties": False, "required": [name], "properties": {name: inner}}
        for name, inner in (("all", several), ("any", several), ("not", _REF))
    ]
    compared = []
    for kind in _OPERANDS:
        names = [name for name, of in terms.FIELDS.items() if of == kind]
        fields: dict[str, Any] = {"enum": names}
        if kind == "any":
            fields = {"type": "string", "pattern": r"^customer\.attributes\.[^\u0000\n]+$", "maxLength": 1000}
        compared += _comparison(kind, fields)
    schema.clear()
    schema |= {
        "title": "Condition", "anyOf": [*joined, *compared],
        "description": "For whom an offer is. At most 8 deep and of 100 conditions.",
    }  # fmt: skip


class Condition(BaseModel):
    """Only what the document says of a condition; it is read by the engine's own parser, which names every place."""

    model_config = ConfigDict(json_schema_extra=_describe)


def _check(value: Any) -> Any:
    return None if value is None else terms.checked_condition(value, "eligibility")


ConditionOrNone = Annotated[Any, PlainValidator(_check, json_schema_input_type=Condition | None)]


def _spoken(given: dict[str, str]) -> dict[str, str]:
    for locale, text in given.items():
        if not terms.is_locale(locale):
            raise ValueError(f"{intake.shorten(locale)}, must be a language tag as en or pt-BR")
        _plain(text)
    return given


Creative = Annotated[
    dict[str, Annotated[str, StringConstraints(max_length=10_000)]],
    AfterValidator(_spoken),
    Field(
        max_length=100,
        json_schema_extra={
            "propertyNames": {"pattern": terms.LOCALE}, "additionalProperties": {**_TEXT, "maxLength": 10_000},
        },
    ),
]  # fmt: skip
Least = Annotated[int, Field(ge=1, le=1_000_000), _INTEGRAL]


class BudgetIn(In):
    """What an offer may give out. unit: `usage` counts claims, `spend` their `cost_cents`. counts: `issued`, when a
    claim is made, or `redeemed`. period: of UTC."""

    unit: Annotated[str, _one_of(terms.UNITS), _one_of_schema(terms.UNITS, "Claims, or their cents.")]
    counts: Annotated[str, _one_of(terms.COUNTS), _one_of_schema(terms.COUNTS, "When it counts.")] = "issued"
    limit: Count
    period: Annotated[str, _one_of(terms.PERIODS), _one_of_schema(terms.PERIODS, "For how long.")] = "total"


def _needs_cost(schema: dict[str, Any]) -> None:
    spend = {"required": ["budget"], "properties": {"budget": {
        "type": "object", "required": ["unit"], "properties": {"unit": {"const": "spend"}}}}}  # fmt: skip
    schema["if"], schema["then"] = (
        spend,
        {"required": ["cost_cents"], "properties": {"cost_cents": {"type": "integer"}}},
    )


class OfferBody(In):
    """An offer, whole; what is left out takes its default, which sets no limit. A budget of unit `spend` needs
    `cost_cents`."""

    model_config = ConfigDict(json_schema_extra=_needs_cost)
    offer_id: Id
    name: Title
    kind: OfferKind
    benefit: Text | None = None
    value_cents: Count | None = Field(None, description="The margin a redemption leaves before its cost.")
    cost_cents: Count | None = Field(None, description="What a redemption costs the shop.")
    currency: Currency | None = None
    starts_at: AnyMoment | None = None
    ends_at: AnyMoment | None = Field(None, description="The moment itself is over.")
    active: bool = True
    priority: Annotated[int, Field(ge=-1000, le=1000), _INTEGRAL] = Field(0, description="Higher comes first.")
    exclusive_group: Id | None = Field(None, description="Of the offers of one group a customer gets one.")
    stackable: bool = Field(True, description="False: it comes alone.")
    items: Annotated[list[Id], Field(max_length=100_000)] = Field([])
    categories: Words = Field([], description="It is about the items of these, too.")
    channels: list[Channel] = Field([], max_length=len(CHANNELS), description="Only through these; empty for all.")
    budget: BudgetIn | None = None
    max_per_customer: Least | None = None
    cooldown_days: Annotated[int, Field(ge=0, le=3650), _INTEGRAL] | None = Field(
        None, description="Days between two times that a customer is shown or claims it."
    )
    max_shown: Least | None = Field(None, description="How often a customer is shown it, by `offer_shown`.")
    capacity: Count | None = Field(None, description="How many claims there may be in all.")
    eligibility: ConditionOrNone = Field(None, description="For whom it is; null for everybody.")
    creative: Creative = Field({}, description="Its text by language.")
    attributes: dict[str, Any] = Field({})

    @model_validator(mode="after")
    def _spends(self) -> OfferBody:
        if self.budget is not None and self.budget.unit == "spend" and self.cost_cents is None:
            why = "is missing, a budget of unit spend needs it"
            raise InvalidRequest(f"cost_cents: {why}", {"cost_cents": why})
        return self


class BudgetOut(Out):
    """A budget as it is stored."""

    unit: Literal["usage", "spend"]
    counts: Literal["issued", "redeemed"]
    limit: int
    period: Literal["total", "day", "week", "month"]


class OfferRow(Out):
    """An offer as it is stored."""

    offer_id: str
    name: str
    kind: str
    benefit: str | None
    value_cents: int | None
    cost_cents: int | None
    currency: str | None
    starts_at: datetime | None
    ends_at: datetime | None
    active: bool
    priority: int
    exclusive_group: str | None
    stackable: bool
    items: list[str]
    categories: list[str]
    channels: list[str]
    budget: BudgetOut | None
    max_per_customer: int | None
    cooldown_days: int | None
    max_shown: int | None
    capacity: int | None
    eligibility: dict[str, Any] | None
    creative: dict[str, str]
    attributes: dict[str, Any]


class OffersPage(Out):
    """Offers in order of id. cursor: for the next page; null at the end."""

    offers: list[OfferRow]
    cursor: str | None
