"""What comes in and goes out, as pydantic models. Strict both ways: unknown fields are refused, not ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from recsvc import intake
from recsvc.concepts import CHANNELS, KIND_NAMES, PLACEMENTS

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


class Out(BaseModel):
    """What a caller gets."""

    model_config = ConfigDict(extra="forbid")


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
    category: Text | None = Field(None, description="A category as the items name it.")
    limit: Limit = 10


class OffersQuery(In):
    """Parameters of offers."""

    limit: Limit = 3


class InteractionBody(In):
    """One interaction of a customer."""

    customer_id: Id
    kind: Kind
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


class Receipt(Out):
    """What became of what was sent."""

    accepted: int
    duplicates: int
    rejected: list[dict[str, Any]]


class ReasonOut(Out):
    """Why an item is shown."""

    code: str
    item_id: str | None
    share: float
    text: str


class FieldsOut(Out):
    """What a shop page shows of an item."""

    title: str
    brand: str | None
    categories: list[str]
    price_cents: int | None
    currency: str | None


class ItemOut(Out):
    """One item of a list."""

    item_id: str
    slot: int
    score: float
    source: str
    propensity: float
    reasons: list[ReasonOut]
    fields: FieldsOut


class ListReply(Out):
    """A list. source: how it was made. fallback: the rung, when it is not from the customer's own history."""

    recommendation_id: str
    customer_id: str | None
    placement: str
    model_version: str | None
    variant: str
    source: Literal["personal", "live", "fallback"]
    fallback: str | None
    generated_at: datetime
    items: list[ItemOut]


class RelatedReply(ListReply):
    """A list around an item."""

    item_id: str


class AgainItem(ItemOut):
    """An item to buy again. interval_days: mean days between orders; null after one order."""

    last_bought_at: datetime
    interval_days: float | None


class BuyAgainReply(ListReply):
    """What to buy again."""

    items: list[AgainItem]  # type: ignore[assignment]


class OfferReason(Out):
    """Why an offer is shown."""

    code: str
    item_id: str | None
    text: str


class OfferOut(Out):
    """An offer. items: at most 20, those that say most to this customer first; items_in_all: how many it has.
    estimated: names of fields that are estimates. p_redeem and uplift: null, nothing estimates them yet."""

    offer_id: str
    name: str
    kind: str
    score: float
    p_redeem: float | None
    uplift: float | None
    value_cents: int | None
    cost_cents: int | None
    currency: str | None
    benefit: str | None
    items: list[str]
    items_in_all: int
    valid_from: datetime | None
    valid_until: datetime | None
    claim_id: str | None
    estimated: list[str]
    reasons: list[OfferReason]


class OffersReply(Out):
    """A customer's offers, best first."""

    recommendation_id: str
    customer_id: str
    offers: list[OfferOut]


class Health(Out):
    """Whether the process answers."""

    status: str


class Ready(Out):
    """Whether answers are complete, and what each part says."""

    status: str
    database: str
    redis: str
    model: str | None


class ProblemField(Out):
    """A field and what was wrong with it."""

    field: str
    message: str


class Problem(Out):
    """An error, RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemField]
    request_id: str
