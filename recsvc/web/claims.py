"""Claims over HTTP: reserve, redeem, release."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeVar

from flask import Response
from pydantic import Field

from recsvc.errors import InvalidRequest
from recsvc.flows import claims
from recsvc.flows.replies import encode
from recsvc.web.bulk import replay
from recsvc.web.contract import Route, read_body_and_bytes, read_query
from recsvc.web.lists import shop
from recsvc.web.outputs import Out
from recsvc.web.schemas import Channel, Count, Id, In, Nothing

B = TypeVar("B", bound=In)


class ClaimBody(In):
    """Who claims, and through which channel; none is the shop's own page."""

    offer_id: Id | None = Field(None, description="As in the path.")
    customer_id: Id
    channel: Channel | None = None


class RedeemBody(In):
    """With which order a claim is redeemed, and what the order was worth."""

    claim_id: Id | None = Field(None, description="As in the path.")
    order_id: Id | None = None
    value_cents: Count | None = None


class ReleaseBody(In):
    """A claim that is given back."""

    claim_id: Id | None = Field(None, description="As in the path.")


class ClaimOut(Out):
    """A claim. expires_at: when a reservation lets go by itself; ended_at: when it was redeemed, released or expired.
    cost_cents: what it holds of a budget that counts cents."""

    claim_id: str
    offer_id: str
    customer_id: str
    state: Literal["reserved", "redeemed", "released", "expired"]
    channel: str | None
    send_id: str | None
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    order_id: str | None
    value_cents: int | None
    cost_cents: int


def claim(offer_id: str) -> Response:
    """Reserve one unit of an offer."""
    body, data = _read(ClaimBody, "offer_id", offer_id)
    return _reply(claims.reserve(shop(), offer_id, body.customer_id, body.channel, replay(data)))


def redeem(claim_id: str) -> Response:
    """Redeem a claim."""
    body, data = _read(RedeemBody, "claim_id", claim_id)
    return _reply(claims.redeem(shop(), claim_id, body.order_id, body.value_cents, replay(data)))


def release(claim_id: str) -> Response:
    """Give a claim back."""
    _, data = _read(ReleaseBody, "claim_id", claim_id)
    return _reply(claims.release(shop(), claim_id, replay(data)))


def _read(model: type[B], name: str, path_id: str) -> tuple[B, bytes]:
    read_query(Nothing)
    body, data = read_body_and_bytes(model)
    if getattr(body, name) not in {None, path_id}:
        raise InvalidRequest(f"{name}: is another than in the path", {name: "is another than in the path"})
    return body, data


def _reply(found: claims.Fields) -> Response:
    out = Response(encode(found), content_type="application/json")
    out.headers["Cache-Control"] = "private, no-cache"
    return out


ROUTES = [
    Route("POST", "/v1/offers/{offer_id}/claims", "Reserve one unit of an offer for a customer", claim,
          scope="storefront", body=ClaimBody, reply=ClaimOut),
    Route("POST", "/v1/claims/{claim_id}/redeem", "Redeem a claim", redeem, scope="storefront", body=RedeemBody,
          reply=ClaimOut),
    Route("POST", "/v1/claims/{claim_id}/release", "Give a claim back", release, scope="storefront", body=ReleaseBody,
          reply=ClaimOut),
]  # fmt: skip
