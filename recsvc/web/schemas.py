"""What comes in, as pydantic models. Unknown fields are refused, not ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from recsvc import intake
from recsvc.concepts import CHANNELS, KIND_NAMES, OFFER_KINDS, PLACEMENTS
from recsvc.foreign import SOURCES

ID_SCHEMA: dict[str, Any] = {
    "type": "string", "minLength": 1, "maxLength": intake.ID_BYTES,
    "description": "1 to 256 bytes of UTF-8; any character but controls; not '.' or '..'.",
}  # fmt: skip


def _moment(value: object, info: ValidationInfo) -> datetime:
    assert info.context is not None  # `contract` passes the moment of the request
    return intake.moment(value, info.context["now"])


def _whole(low: int, high: int) -> BeforeValidator:
    """Return the check of a whole number in a query string."""
    return BeforeValidator(lambda text: intake.integer(text, low, high))


def _whole_schema(low: int, high: int, description: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "integer", "minimum": low, "maximum": high, "description": description})


def _one_of(values: tuple[str, ...]) -> BeforeValidator:
    """Return the check of a text that must be one of `values`."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in values:
            raise ValueError(f"{intake.shorten(str(value))}, must be one of {', '.join(values)}")
        return value

    return BeforeValidator(check)


def _one_of_schema(values: tuple[str, ...], description: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(values), "description": description})


def _plain(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not hold NUL")
    return text


Id = Annotated[str, BeforeValidator(intake.identifier), WithJsonSchema(ID_SCHEMA)]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"oneOf": [{"type": "string", "format": "date-time"}, {"type": "number"}],
                    "description": "RFC 3339 with a time zone, or epoch seconds; at most ten minutes ahead."}),
]  # fmt: skip
Limit = Annotated[int, _whole(1, 100), _whole_schema(1, 100, "How many at most.")]
WindowDays = Annotated[int, _whole(1, 365), _whole_schema(1, 365, "Days to look back.")]
Text = Annotated[str, Field(max_length=1000), AfterValidator(_plain)]
Placement = Annotated[str, _one_of(PLACEMENTS), _one_of_schema(PLACEMENTS, "Where it is shown.")]
Kind = Annotated[str, _one_of(KIND_NAMES), _one_of_schema(KIND_NAMES, "What happened.")]
Channel = Annotated[str, _one_of(CHANNELS), _one_of_schema(CHANNELS, "Through which channel.")]


class In(BaseModel):
    """What a caller sends."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Nothing(In):
    """No parameters."""


class RecommendationsQuery(In):
    """Parameters of recommendations."""

    placement: Placement = "home"
    limit: Limit = 10
    exclude: tuple[Id, ...] = Field((), description="Item ids to leave out; repeat it, or separate by commas.")


class RelatedQuery(In):
    """Parameters of lists around an item."""

    customer_id: Id | None = None
    limit: Limit = 10


class BuyAgainQuery(In):
    """Parameters of buy-again."""

    limit: Limit = 10


class WindowQuery(In):
    """Parameters of trending and bestsellers."""

    window_days: WindowDays = 28
    category: Annotated[Text, Field(min_length=1)] | None = Field(None, description="A category as the items name it.")
    limit: Limit = 10


class OffersQuery(In):
    """Parameters of offers."""

    limit: Limit = 3


class InteractionsQuery(In):
    """Parameters of interactions."""

    source: Annotated[str, _one_of(SOURCES), _one_of_schema(SOURCES, "Whose names the events use.")] = "native"


class LineIn(In):
    """A line of an order."""

    item_id: Id
    quantity: int | None = Field(None, ge=0, le=intake.MAX_INT)
    value_cents: int | None = Field(None, ge=0, le=intake.MAX_INT)
    stars: int | None = Field(None, ge=1, le=5)
    reason: Text | None = None
    properties: dict[str, Any] | None = None


class InteractionBody(In):
    """One interaction: of a customer, or of an anonymous session. `items` are the lines of an order, each of which
    becomes an interaction of its own."""

    customer_id: Id | None = None
    session_id: Id | None = None
    kind: Kind
    items: Annotated[list[LineIn], Field(min_length=1, max_length=1000)] | None = None
    interaction_id: Id | None = Field(None, description="Sent twice, it has one effect. Derived when missing.")
    item_id: Id | None = None
    occurred_at: Moment | None = Field(None, description="When it happened; now when missing.")
    quantity: int | None = Field(None, ge=0, le=intake.MAX_INT)
    value_cents: int | None = Field(None, ge=0, le=intake.MAX_INT)
    currency: str | None = Field(None, pattern="^[A-Z]{3}$")
    order_id: Id | None = None
    channel: Channel | None = None
    stars: int | None = Field(None, ge=1, le=5)
    reason: Text | None = None
    subject: Text | None = None
    ref: Id | None = None
    recommendation_id: Id | None = None
    slot: int | None = Field(None, ge=1, le=1000)
    offer_id: Id | None = None
    campaign_id: Id | None = None
    send_id: Id | None = None
    properties: dict[str, Any] | None = None


class SurveyBody(In):
    """An answer to a survey: NPS 0 to 10, CSAT 1 to 5, CES 1 to 7."""

    customer_id: Id
    kind: Annotated[str, _one_of(("nps", "csat", "ces")), _one_of_schema(("nps", "csat", "ces"), "Which question.")]
    score: int = Field(ge=0, le=10)
    survey_id: Id | None = Field(None, description="Sent twice, it has one effect. Derived when missing.")
    occurred_at: Moment | None = Field(None, description="When it was answered; now when missing.")
    channel: Channel | None = None
    comment: Annotated[str, Field(max_length=10_000), AfterValidator(_plain)] | None = None
    about: Id | None = Field(None, description="What it is about: an order, an item, a contact.")


class MergeBody(In):
    """Which anonymous session a customer was."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)
    session_id: Id = Field(alias="from", description="The session's id.")


class PageQuery(In):
    """Parameters of a listing."""

    cursor: Annotated[str, Field(max_length=1024)] | None = Field(None, description="From the page before.")
    limit: Annotated[int, _whole(1, 1000), _whole_schema(1, 1000, "How many at most.")] = 100


Cents = Annotated[int, Field(ge=0, le=intake.MAX_INT)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]
Words = Annotated[list[Text], Field(max_length=50)]
AnyMoment = Annotated[
    datetime,
    BeforeValidator(lambda value: intake.moment(value, intake.LATEST)),
    WithJsonSchema({"oneOf": [{"type": "string", "format": "date-time"}, {"type": "number"}],
                    "description": "RFC 3339 with a time zone, or epoch seconds; before 2100."}),
]  # fmt: skip


class ItemBody(In):
    """An item, whole: what is left out takes its default. `stock` null is unlimited."""

    item_id: Id
    parent_id: Id | None = None
    title: Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_plain)]
    categories: Words = []
    brand: Text | None = None
    price_cents: Cents | None = None
    cost_cents: Cents | None = None
    currency: Currency | None = None
    stock: Cents | None = None
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
    contact_cap: Annotated[int, Field(ge=0, le=1000)] | None = None
    profiling: bool = True
    preferences: Words = []


class OfferBody(In):
    """An offer, whole. It is open to every customer while it is active and within its dates."""

    offer_id: Id
    name: Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_plain)]
    kind: Annotated[str, _one_of(OFFER_KINDS), _one_of_schema(OFFER_KINDS, "What it gives.")]
    benefit: Text | None = None
    value_cents: Cents | None = None
    cost_cents: Cents | None = None
    currency: Currency | None = None
    starts_at: AnyMoment | None = None
    ends_at: AnyMoment | None = None
    active: bool = True
    items: Annotated[list[Id], Field(max_length=100_000)] = []
    attributes: dict[str, Any] = {}
