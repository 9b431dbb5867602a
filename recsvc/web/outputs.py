"""What goes out, as pydantic models; OpenAPI is made from them and the tests compare every reply with it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Out(BaseModel):
    """What a caller gets."""

    model_config = ConfigDict(extra="forbid")


class Rejected(Out):
    """One row that was refused: its place in the request, from 0, the field and what was wrong with it."""

    index: int
    code: str
    message: str


class Receipt(Out):
    """What became of what was sent. A duplicate was there already and has no second effect."""

    accepted: int
    duplicates: int
    rejected: list[Rejected]


class Merged(Out):
    """How much the session did so far; already: 1 when it was merged before."""

    merged: int
    already: int


class ReasonOut(Out):
    """Why an item is shown."""

    code: str
    item_id: str | None
    share: float
    text: str


class FieldsOut(Out):
    """What a shop page shows of an item; only what was asked for, when `fields` says what."""

    title: str = ""
    brand: str | None = None
    categories: list[str] = []
    price_cents: int | None = None
    currency: str | None = None


class OfferReason(Out):
    """Why an offer is shown. share: the part of the cited item in what the customer buys of the offer's items."""

    code: str
    item_id: str | None
    share: float
    text: str


class OfferOut(Out):
    """An offer. score: expected cents, p_redeem × (value_cents − cost_cents). p_redeem: the chance that this customer
    redeems it. uplift: null, no hold-out measures it yet. creative: its text in the customer's language. items: at most
    20, those that say most to this customer first; items_in_all: how many it has. estimated: names of fields that are
    estimates."""

    offer_id: str
    name: str
    kind: str
    score: float
    p_redeem: float
    uplift: float | None
    value_cents: int | None
    cost_cents: int | None
    currency: str | None
    benefit: str | None
    creative: str | None
    items: list[str]
    items_in_all: int
    valid_from: datetime | None
    valid_until: datetime | None
    claim_id: str | None
    estimated: list[str]
    reasons: list[OfferReason]


class ItemOut(Out):
    """One item of a list. parts: when they were asked for, what each generator gave to its score in the blend. offer:
    when offers were asked for, the customer's best on it, null without any."""

    item_id: str
    slot: int
    score: float
    source: str
    propensity: float
    reasons: list[ReasonOut]
    fields: FieldsOut
    parts: dict[str, float] = {}
    offer: OfferOut | None = None


class ListReply(Out):
    """A list. source: how it was made. fallback: the rung, when it is not from the customer's own history."""

    recommendation_id: str
    customer_id: str | None
    placement: str
    model_version: str | None
    variant: str
    source: Literal["personal", "live", "session", "fallback"]
    fallback: str | None
    generated_at: datetime
    items: list[ItemOut]


class RelatedReply(ListReply):
    """A list around an item."""

    item_id: str


class AgainItem(ItemOut):
    """An item to buy again. interval_days: expected between two orders. due_at: one interval after the last order,
    which may be past. p_due: the chance that it is bought within `within_days`; also its score."""

    last_bought_at: datetime
    interval_days: float
    due_at: datetime
    p_due: float


class BuyAgainReply(ListReply):
    """What to buy again."""

    items: list[AgainItem]  # type: ignore[assignment]


class Health(Out):
    """Whether the process answers."""

    status: str


class Ready(Out):
    """Whether answers are complete, and what each part says."""

    status: str
    database: str
    redis: str
    model: str | None


class ModelOut(Out):
    """A published version. current: the pointer names it; in_use: the worker that answers uses it. metrics: of what
    orders its lists, on held-back days; empty where it was not measured. problem: why it is damaged."""

    version: str
    current: bool
    in_use: bool
    published_at: datetime | None
    age_seconds: float | None
    ordering: str | None
    metrics: dict[str, float]
    customers: int | None
    items: int | None
    interactions: int | None
    bytes: int | None
    problem: str | None


class RefusedModel(Out):
    """What the worker that answers could not read, and why; `current` is the pointer, `remote` what it names there."""

    version: str
    reason: str


class ModelsReply(Out):
    """Published models, newest first. remote: why the remote store could not be asked; null when it could."""

    current: str | None
    in_use: str | None
    remote: str | None
    models: list[ModelOut]
    refused: list[RefusedModel]


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


class ItemRow(Out):
    """An item as it is stored."""

    item_id: str
    parent_id: str | None
    title: str
    categories: list[str]
    brand: str | None
    price_cents: int | None
    cost_cents: int | None
    currency: str | None
    stock: int | None
    active: bool
    created_at: datetime | None
    available_from: datetime | None
    available_to: datetime | None
    repeatable: bool | None
    sensitive: bool
    image_url: str | None
    url: str | None
    attributes: dict[str, Any]


class CustomerOut(Out):
    """A customer as it is stored; what was never said is null."""

    customer_id: str
    attributes: dict[str, Any]
    segment: str | None
    tier: str | None
    locale: str | None
    time_zone: str | None
    consent: dict[str, bool] | None
    preferred_channel: str | None
    quiet_hours: str | None
    contact_cap: int | None
    profiling: bool | None
    preferences: list[str] | None


class ItemsPage(Out):
    """Items in order of id. cursor: for the next page; null at the end."""

    items: list[ItemRow]
    cursor: str | None


class CustomersPage(Out):
    """Customers in order of id. cursor: for the next page; null at the end."""

    customers: list[CustomerOut]
    cursor: str | None
