"""A customer's offers over HTTP: asked by a page, decided for a sending, and for many customers at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Final

from flask import Response
from pydantic import Field

from recsvc.concepts import CHANNELS
from recsvc.errors import InvalidRequest
from recsvc.flows import offers, placements, sends
from recsvc.flows.offers import Asked
from recsvc.flows.questions import split
from recsvc.flows.replies import encode
from recsvc.flows.sends import Sending
from recsvc.web.bulk import NDJSON, replay
from recsvc.web.contract import Route, read_body_and_bytes, read_query, validated
from recsvc.web.lists import reply, shop
from recsvc.web.offer_schemas import OfferKind
from recsvc.web.outputs import OfferOut, Out
from recsvc.web.questions import Exclude, Locale, Truth
from recsvc.web.schemas import _INTEGRAL, Id, In, Limit, Nothing, _one_of, _one_of_schema
from recsvc.web.streams import customer_alone, lines_of, until_broken

_REACHED: Final = (*CHANNELS, "best")
Reached = Annotated[
    str, _one_of(_REACHED),
    _one_of_schema(_REACHED, "Through which channel; best: the one of email, sms and push that suits the customer."),
]  # fmt: skip
Some = Annotated[int, Field(ge=1, le=100), _INTEGRAL]


class OffersQuery(In):
    """Parameters of offers. No channel: the shop's own page."""

    limit: Limit = offers.LIMIT
    channel: Reached | None = None
    placement: Id | None = Field(None, description="Where they are shown.")
    items: Exclude = Field((), description="Item ids in the cart; repeat it, or separate by commas.")
    kinds: tuple[OfferKind, ...] = Field((), description="Only of these; repeat it.")
    explain: Truth = Field(False, description="Tell of the offers that are not for them why.")
    locale: Locale | None = None


class _OffersBody(In):
    """What may be asked of offers, as an object."""

    limit: Some = offers.LIMIT
    channel: Reached | None = None
    placement: Id | None = Field(None, description="Where they are shown.")
    items: list[Id] = Field([], max_length=1000, description="Item ids in the cart.")
    kinds: list[OfferKind] = Field([], max_length=20)
    explain: bool = False
    locale: Locale | None = None


class OffersBody(_OffersBody):
    """What may be asked of offers, and what is done with the answer. reserve: a claim is made on each. send_id: of a
    sending; decided and counted once per customer and channel, then replayed. dry_run: nothing is kept."""

    customer_id: Id | None = Field(None, description="As in the path.")
    reserve: bool = False
    send_id: Id | None = None
    dry_run: bool = False


class OffersLine(_OffersBody):
    """A customer, and what is asked for them beside what the query string asks for everybody."""

    customer_id: Id


class Refused(Out):
    """An offer that does not come, and why."""

    offer_id: str
    code: str
    detail: str


class ChannelDecision(Out):
    """Through which channel, null for none. why: asked, default, preferred, observed, consented, or why not:
    no_consent, quiet_hours, contact_cap; detail says more. consent: whether the customer gave it, where it is needed.
    """

    channel: str | None
    why: str
    consent: bool
    detail: str | None


class OffersReply(Out):
    """A customer's offers, best first. not_eligible: filled when `explain` asks for it."""

    recommendation_id: str
    customer_id: str
    channel: str | None
    offers: list[OfferOut]
    not_eligible: list[Refused]
    channel_decision: ChannelDecision


def get(customer_id: str) -> Response:
    """Answer a customer's offers."""
    query = read_query(OffersQuery)
    return reply(offers.offers(shop(), customer_id, _asked(query)), query.channel)


def post(customer_id: str) -> Response:
    """Decide a customer's offers, and reserve or keep them as asked."""
    read_query(Nothing)
    body, data = read_body_and_bytes(OffersBody)
    if body.customer_id not in {None, customer_id}:
        raise InvalidRequest("customer_id: is another than in the path", {"customer_id": "is another than in the path"})
    asked, sending = _asked(body), Sending(body.reserve, body.send_id)
    if body.dry_run:
        found = sends.dry_run(shop(), customer_id, asked, sending)
    else:
        found = sends.post(shop(), customer_id, asked, sending, replay(data))
    out = Response(encode(found), content_type="application/json")
    out.headers["Cache-Control"] = "private, no-cache"
    return out


def many() -> Response:
    """Answer a line for each line: a customer's offers, or why there are none."""
    usual = _asked(read_query(OffersQuery))
    asked: Iterator[Any] = until_broken(lines_of(partial(_line, usual)))
    return Response(offers.lines(shop(), asked), content_type=NDJSON)


def _asked(given: OffersQuery | _OffersBody) -> Asked:
    """Return what was asked, as the flows take it.

    Raises:
        InvalidRequest: a placement that does not exist.
    """
    cart = split(shop(), given.items) if isinstance(given, OffersQuery) else tuple(given.items)
    if given.placement is not None:
        placements.known(shop().current.snapshot, given.placement)
    return Asked(given.limit, given.channel, given.placement, cart, tuple(given.kinds), given.explain, given.locale)


_NAMES: Final = {"items": "cart"}


def _line(usual: Asked, value: Any) -> tuple[str, Asked]:
    """Return a customer and what is asked for them: what the query string says, but for what the line says."""
    customer_id = customer_alone(value)
    if customer_id is not None:
        return customer_id, usual
    body = validated(OffersLine, value)
    own = _asked(body)
    said = {_NAMES.get(name, name) for name in body.model_fields_set} - {"customer_id"}
    return body.customer_id, replace(usual, **{name: getattr(own, name) for name in said})


_PATH: Final = "/v1/customers/{customer_id}/offers"
ROUTES = [
    Route("GET", _PATH, "Offers for a customer now, by expected money", get, scope="storefront", query=OffersQuery,
          reply=OffersReply),
    Route("POST", _PATH, "Decide a customer's offers once, reserve them", post, scope="storefront", body=OffersBody,
          reply=OffersReply),
    Route("POST", "/v1/batch/offers", "The offers of each of many customers, a line for a line", many, scope="campaign",
          query=OffersQuery, body=OffersLine, content=NDJSON, many=True, writes=False),
]  # fmt: skip
