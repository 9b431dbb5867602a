"""Surveys by a link: it is signed, so that it needs no key and works from an e-mail; its answer is stored once.

The link itself says whom it asks what, and until when. It is no secret kept by the shop: who has it may answer, as who
has the e-mail may. It holds the customer's id, readable, so it belongs into that customer's e-mail and nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from recsvc.errors import NotFound
from recsvc.flows import interactions
from recsvc.flows.replies import moment
from recsvc.flows.shop import Shop

# The shop's secret has other uses; under this name a signature is a link's and nothing else's.
_PURPOSE: Final = b"recsvc survey link 1"
MOST_CHARACTERS: Final = 2000
_DAY: Final = 86400


@dataclass(frozen=True, slots=True)
class Link:
    """What a link says. kind: nps, csat or ces; about: an order, an item, a contact; expires_at: epoch seconds."""

    customer_id: str
    kind: str
    about: str | None
    channel: str | None
    expires_at: int


def link(shop: Shop, asked: dict[str, Any], days: int) -> dict[str, Any]:
    """Return a link that asks a customer one question for some days: its path and its token.

    Args:
        asked: customer_id, kind, about and channel, checked.
    """
    made = Link(asked["customer_id"], asked["kind"], asked["about"], asked["channel"], int(shop.clock()) + days * _DAY)
    said = json.dumps([getattr(made, name) for name in Link.__slots__], separators=(",", ":"), ensure_ascii=False)
    told = _text(said.encode())
    token = f"{told}.{_signature(shop, told)}"
    return {"path": f"/s/{token}", "token": token, "expires_at": moment(made.expires_at)}


def read(shop: Shop, token: str) -> Link:
    """Return what a link says, whether or not its time is over.

    Raises:
        NotFound: it is no link of this shop.
    """
    told, _, signature = token.rpartition(".")
    if len(token) > MOST_CHARACTERS or not hmac.compare_digest(_signature(shop, told).encode(), signature.encode()):
        raise NotFound("token: is no link of this shop")
    return Link(*json.loads(_bytes(told)))


def expired(shop: Shop, asked: Link) -> bool:
    """Whether a link's time is over."""
    return shop.clock() >= asked.expires_at


def answer(shop: Shop, token: str, asked: Link, score: int, comment: str | None) -> bool:
    """Store the answer of a link. Returns whether it was the first: a later one of the same link changes nothing.

    Raises:
        Unavailable: nothing was kept.
    """
    # No id of a caller holds NUL, so none can stand where this one belongs.
    row = {
        "survey_id": f"\0link:{token}", "customer_id": asked.customer_id, "kind": asked.kind, "score": score,
        "channel": asked.channel, "comment": comment or None, "about": asked.about,
        "occurred_at": datetime.fromtimestamp(shop.clock(), UTC),
    }  # fmt: skip
    return interactions.record_surveys(shop, [row], [], None).accepted == 1


def _signature(shop: Shop, told: str) -> str:
    key = hmac.digest(shop.current.snapshot.state.facts.customer_secret, _PURPOSE, hashlib.sha256)
    return _text(hmac.digest(key, told.encode(), hashlib.sha256))


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise NotFound("token: is no link of this shop") from error
