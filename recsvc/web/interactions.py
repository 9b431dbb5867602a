"""Interactions over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Response

from recsvc.concepts import KINDS
from recsvc.errors import InvalidRequest
from recsvc.flows import interactions
from recsvc.flows.replies import encode
from recsvc.web.contract import Route, read_body
from recsvc.web.lists import shop
from recsvc.web.schemas import InteractionBody, Receipt


def post() -> Response:
    """Store one interaction; the answer comes after the commit."""
    body = read_body(InteractionBody)
    found = record(body)
    return Response(
        encode({"accepted": found.accepted, "duplicates": found.duplicates, "rejected": []}),
        content_type="application/json",
    )


def record(body: InteractionBody) -> interactions.Receipt:
    """Check what a single field cannot say, and store it.

    Raises:
        InvalidRequest: the kind needs an item or an offer that is missing.
    """
    kind = KINDS[body.kind]
    for needed, name, value in (
        (kind.needs_item, "item_id", body.item_id), (kind.needs_offer, "offer_id", body.offer_id),
    ):  # fmt: skip
        if needed and value is None:
            raise InvalidRequest(
                f"{name}: is missing; {body.kind} needs it", {name: f"is missing; {body.kind} needs it"}
            )
    given = body.model_dump(exclude_none=True)
    given.setdefault("occurred_at", datetime.now(UTC))
    return interactions.record(shop(), given)


ROUTES = [
    Route("POST", "/v1/interactions", "Store one interaction; acknowledged after the commit", post,
          scope="storefront", body=InteractionBody, reply=Receipt),
]  # fmt: skip
