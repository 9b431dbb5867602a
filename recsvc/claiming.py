"""Claims, for a shop's own servers: reserve, redeem and release, each with one effect however often it is tried.

Unlike a list, a claim has no stand-in: where the service does not answer, or says no, the caller has to know.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

Send = Callable[[str, bytes, dict[str, str]], tuple[int, bytes]]
"""Posts a body to a path under headers once. Raises OSError where nothing whole came."""
_TRIES: Final = 2


class ClaimRefused(Exception):
    """The service said no. status: 404 for what does not exist, 409 for what is used up, not for this customer, or over
    already; 400 and 403 for a mistake of the caller's."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status, self.detail = status, detail


class Claims:
    """Writes claims. Every call is tried twice at most, under one name, so that the second has no effect of its own."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def reserve(self, offer_id: str, customer_id: str, channel: str | None = None) -> dict[str, Any]:
        """Reserve one unit of an offer for a customer and return the claim.

        Raises:
            ClaimRefused: the service said no. OSError: no answer; nobody knows whether it was reserved.
        """
        body = {"customer_id": str(customer_id)} | ({} if channel is None else {"channel": channel})
        return self._post(f"/v1/offers/{quote(str(offer_id), safe='')}/claims", body)

    def redeem(self, claim_id: str, order_id: str | None = None, value_cents: int | None = None) -> dict[str, Any]:
        """Redeem a claim and return it. Raises as `reserve`."""
        given = {"order_id": order_id, "value_cents": value_cents}
        return self._post(
            f"/v1/claims/{quote(claim_id, safe='')}/redeem", {k: v for k, v in given.items() if v is not None}
        )

    def release(self, claim_id: str) -> dict[str, Any]:
        """Give a claim back and return it. Raises as `reserve`."""
        return self._post(f"/v1/claims/{quote(claim_id, safe='')}/release", {})

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers, data = {"Idempotency-Key": uuid.uuid4().hex}, json.dumps(body).encode()
        problem: OSError = OSError("no answer")
        for _ in range(_TRIES):
            try:
                status, found = self._send(path, data, headers)
            except OSError as error:
                problem = error
                continue
            if status == 200:
                claim: dict[str, Any] = json.loads(found)
                return claim
            if status < 500 and status != 429:
                raise ClaimRefused(status, _detail(found))
            problem = OSError(f"status {status}: {_detail(found)}")
        raise problem


def _detail(found: bytes) -> str:
    try:
        return str(json.loads(found)["detail"])
    except (ValueError, KeyError, TypeError):
        return "no reason given"
