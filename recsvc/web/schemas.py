"""What comes in, as pydantic models. Unknown fields are refused, not ignored."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from recsvc import intake
from recsvc.concepts import CHANNELS, KIND_NAMES, KINDS
from recsvc.foreign import SOURCES

ID_SCHEMA: dict[str, Any] = {
    "type": "string", "minLength": 1, "maxLength": intake.ID_BYTES,
    "pattern": r"^(?!\.{1,2}$)[^\u0000-\u001f\u007f-\u009f]*$",
    "description": "1 to 256 bytes of UTF-8; any character but controls; not '.' or '..'.",
}  # fmt: skip
TOKEN_SCHEMA: Final = {
    "type": "string", "minLength": 1, "maxLength": 2000, "pattern": r"^[A-Za-z0-9_.-]+$",
    "description": "As it was made.",
}  # fmt: skip
_NUMBER: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_NO_NUL: Final = r"^[^\u0000]*$"
# What JSON Schema calls a date-time, within the years that are taken.
MOMENT: Final = {"type": "string", "format": "date-time", "pattern": r"^(199[0-9]|20[0-9]{2})-"}
EPOCH: Final = {
    "type": "number",
    "minimum": intake.EARLIEST.timestamp(),
    "exclusiveMaximum": intake.LATEST.timestamp(),
}


def _moment(value: object, info: ValidationInfo) -> datetime:
    assert info.context is not None  # `contract` passes the moment of the request
    return intake.moment(value, info.context["now"])


def _any_moment(value: object) -> datetime:
    if isinstance(value, (int, float)) and value >= intake.LATEST.timestamp():  # before it is rounded to microseconds
        raise ValueError(f"must be before {intake.LATEST.date()}")
    return intake.moment(value, intake.LATEST)


def _whole(low: int, high: int) -> BeforeValidator:
    """Return the check of a whole number in a query string."""
    return BeforeValidator(lambda text: intake.integer(text, low, high))


def _whole_schema(low: int, high: int, description: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "integer", "minimum": low, "maximum": high, "description": description})


def _fraction(text: object) -> float:
    """Return a number from 0 to 1 of a query string."""
    found = float(str(text)) if _NUMBER.fullmatch(str(text)) else -1.0
    if not 0.0 <= found <= 1.0:
        raise ValueError(f"{intake.shorten(str(text))}, must be a number from 0 to 1")
    return found


def _one_of(values: tuple[str, ...]) -> BeforeValidator:
    """Return the check of a text that must be one of `values`."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in values:
            raise ValueError(f"{intake.shorten(str(value))}, must be one of {', '.join(values)}")
        return value

    return BeforeValidator(check)


def _one_of_schema(values: tuple[str, ...], description: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(values), "description": description})


def _integral(value: object) -> object:
    """Return 2.0 as 2: JSON knows one kind of number, and writers of many languages put the point there."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not hold NUL")
    return text


_INTEGRAL: Final = BeforeValidator(_integral)
Count = Annotated[int, Field(ge=0, le=intake.MAX_INT), _INTEGRAL]
Stars = Annotated[int, Field(ge=1, le=5), _INTEGRAL]
Id = Annotated[str, BeforeValidator(intake.identifier), WithJsonSchema(ID_SCHEMA)]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"oneOf": [MOMENT, EPOCH],
                    "description": "RFC 3339 with a time zone, or epoch seconds; at most ten minutes ahead."}),
]  # fmt: skip
Limit = Annotated[int, _whole(1, 100), _whole_schema(1, 100, "How many at most.")]
Fraction = Annotated[float, BeforeValidator(_fraction), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})]
WindowDays = Annotated[int, _whole(1, 365), _whole_schema(1, 365, "Days to look back.")]
WithinDays = Annotated[int, _whole(1, 365), _whole_schema(1, 365, "Days to look ahead.")]
_TEXT: Final = {"pattern": _NO_NUL}
Text = Annotated[str, Field(max_length=1000, json_schema_extra=_TEXT), AfterValidator(_plain)]
Title = Annotated[str, Field(min_length=1, max_length=1000, json_schema_extra=_TEXT), AfterValidator(_plain)]
Placement = Annotated[Id, Field(description="home, item_page, cart, newsletter, or one that was put.")]
Kind = Annotated[str, _one_of(KIND_NAMES), _one_of_schema(KIND_NAMES, "What happened.")]
Channel = Annotated[str, _one_of(CHANNELS), _one_of_schema(CHANNELS, "Through which channel.")]


class In(BaseModel):
    """What a caller sends."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Nothing(In):
    """No parameters."""


class WindowQuery(In):
    """Parameters of trending and bestsellers."""

    window_days: WindowDays = 28
    category: tuple[Annotated[Text, Field(min_length=1)], ...] = Field((), description="One of these; repeat it.")
    limit: Limit = 10


class InteractionsQuery(In):
    """Parameters of interactions."""

    source: Annotated[str, _one_of(SOURCES), _one_of_schema(SOURCES, "Whose names the events use.")] = "native"


class LineIn(In):
    """A line of an order."""

    item_id: Id
    quantity: Count | None = None
    value_cents: Count | None = None
    stars: Stars | None = None
    reason: Text | None = None
    properties: dict[str, Any] | None = None


def _given(name: str) -> dict[str, Any]:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def _needs(schema: dict[str, Any]) -> None:
    """Say in the schema what an interaction must name besides its fields: who, and what its kind is about."""
    lines, none = _given("items"), {"properties": {"item_id": {"type": "null"}}}
    item = [name for name, kind in KINDS.items() if kind.needs_item]
    offer = [name for name, kind in KINDS.items() if kind.needs_offer]
    schema["allOf"] = [
        {"anyOf": [_given("customer_id"), _given("session_id")]},
        {"anyOf": [{"properties": {"items": {"type": "null"}}}, none]},
        {"anyOf": [{"properties": {"kind": {"not": {"enum": item}}}}, _given("item_id"), lines]},
        {"anyOf": [{"properties": {"kind": {"not": {"enum": offer}}}}, _given("offer_id")]},
    ]


class InteractionBody(In):
    """One interaction: of a customer, or of an anonymous session. `items` are the lines of an order, each of which
    becomes an interaction of its own."""

    model_config = ConfigDict(json_schema_extra=_needs)
    customer_id: Id | None = None
    session_id: Id | None = None
    kind: Kind
    items: Annotated[list[LineIn], Field(min_length=1, max_length=1000)] | None = None
    interaction_id: Id | None = Field(None, description="Sent twice, it has one effect. Derived when missing.")
    item_id: Id | None = None
    occurred_at: Moment | None = Field(None, description="When it happened; now when missing.")
    quantity: Count | None = None
    value_cents: Count | None = None
    currency: str | None = Field(None, pattern="^[A-Z]{3}$")
    order_id: Id | None = None
    channel: Channel | None = None
    stars: Stars | None = None
    reason: Text | None = None
    subject: Text | None = None
    ref: Id | None = None
    recommendation_id: Id | None = None
    slot: Annotated[int, Field(ge=1, le=1000), _INTEGRAL] | None = None
    offer_id: Id | None = None
    campaign_id: Id | None = None
    send_id: Id | None = None
    properties: dict[str, Any] | None = None


SCORES: Final = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7)}


Survey = Annotated[str, _one_of(tuple(SCORES)), _one_of_schema(tuple(SCORES), "Which question.")]


def _scores(schema: dict[str, Any]) -> None:
    """Say in the schema which scores each question has."""
    schema["oneOf"] = [
        {"properties": {"kind": {"const": kind}, "score": {"minimum": low, "maximum": high}}}
        for kind, (low, high) in SCORES.items()
    ]


class SurveyBody(In):
    """An answer to a survey: NPS 0 to 10, CSAT 1 to 5, CES 1 to 7."""

    model_config = ConfigDict(json_schema_extra=_scores)
    customer_id: Id
    kind: Survey
    score: Annotated[int, Field(ge=0, le=10), _INTEGRAL]
    survey_id: Id | None = Field(None, description="Sent twice, it has one effect. Derived when missing.")
    occurred_at: Moment | None = Field(None, description="When it was answered; now when missing.")
    channel: Channel | None = None
    comment: Annotated[str, Field(max_length=10_000, json_schema_extra=_TEXT), AfterValidator(_plain)] | None = None
    about: Id | None = Field(None, description="What it is about: an order, an item, a contact.")


class MergeBody(In):
    """Which anonymous session a customer was."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)
    session_id: Id = Field(alias="from", description="The session's id.")


class PageQuery(In):
    """Parameters of a listing."""

    cursor: Id | None = Field(None, description="From the page before: the id after which this one begins.")
    limit: Annotated[int, _whole(1, 1000), _whole_schema(1, 1000, "How many at most.")] = 100


Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]
Words = Annotated[list[Text], Field(max_length=50)]
AnyMoment = Annotated[
    datetime,
    BeforeValidator(_any_moment),
    WithJsonSchema({"oneOf": [MOMENT, EPOCH], "description": "RFC 3339 with a time zone, or epoch seconds."}),
]  # fmt: skip


class ItemBody(In):
    """An item, whole: what is left out takes its default. `stock` null is unlimited."""

    item_id: Id
    parent_id: Id | None = None
    title: Title
    categories: Words = []
    brand: Text | None = None
    price_cents: Count | None = None
    cost_cents: Count | None = None
    currency: Currency | None = None
    stock: Count | None = None
    active: bool = True
    created_at: AnyMoment | None = Field(None, description="Now when missing.")
    available_from: AnyMoment | None = None
    available_to: AnyMoment | None = None
    repeatable: bool | None = None
    sensitive: bool = False
    image_url: Text | None = None
    url: Text | None = None
    attributes: dict[str, Any] = {}


class CustomerBody(In):
    """A customer, whole. A channel that `consent` does not name is not consented. `profiling` false: only lists that
    are the same for everybody, and no part in training."""

    customer_id: Id
    attributes: dict[str, Any] = {}
    segment: Text | None = None
    tier: Text | None = None
    locale: Text | None = None
    time_zone: Text | None = None
    consent: dict[Channel, bool] = {}
    preferred_channel: Channel | None = None
    quiet_hours: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")] | None = Field(
        None, description="As 21:00-08:00, in the customer's time zone."
    )
    contact_cap: Annotated[int, Field(ge=0, le=1000), _INTEGRAL] | None = None
    profiling: bool = True
    preferences: Words = []
