"""The story of one offer, for a page: what is left of it, who claimed it when, and why others do not get it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from recsvc.engine.refusals import CODES
from recsvc.errors import NotFound
from recsvc.flows import offers, people, terms
from recsvc.flows.answers import at_hand
from recsvc.flows.catalogue import looking
from recsvc.flows.offers import Asked
from recsvc.flows.shop import Shop
from recsvc.intake import shorten
from recsvc.store import claimed, interactions
from recsvc.store.database import MICROSECONDS, PAGE_SECONDS

DAYS: Final = 28
# As many of the customers who did something last are asked whether they get it.
ASKED: Final = 100
_DAY: Final = 86400


def story(shop: Shop, offer_id: str) -> dict[str, Any]:
    """Return the offer's row, what was given out beside its limits, its claims by day and state, and of the customers
    who did something last how many get it, and the others by the code of their refusal.

    Raises:
        NotFound: no such offer. Unavailable: the database is away.
    """
    snapshot, now = at_hand(shop)
    offered = snapshot.offered
    if offered is None or offer_id not in offered.at:
        raise NotFound(f"offer_id: {shorten(offer_id)} does not exist", {"offer_id": "does not exist"})
    row = offered.rows[offered.at[offer_id]]
    first = datetime.fromtimestamp(now, UTC).date() - timedelta(days=DAYS - 1)
    start = datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp()
    with looking(shop, PAGE_SECONDS) as connection:
        used = claimed.usage(connection, set(terms.periods(now).values()))
        made = claimed.created(connection, offer_id, round(start * MICROSECONDS))
    days = [Counter[str]() for _ in range(DAYS)]
    for at, state in made:
        days[min(int((at / MICROSECONDS - start) // _DAY), DAYS - 1)][state] += 1
    return {
        "row": row, "limits": _limits(row, offer_id, used, now),
        "days": [{"day": (first + timedelta(days=n)).isoformat(), **one} for n, one in enumerate(days)],
        **_asked(shop, offer_id),
    }  # fmt: skip


def _limits(row: Any, offer_id: str, used: dict[tuple[str, str], Any], now: float) -> list[dict[str, Any]]:
    """Return each limit with what is used of it: name, used, limit, unit."""
    found = []
    whole = used.get((offer_id, ""))
    if row.capacity is not None:
        found.append({"name": "capacity", "used": whole.held if whole else 0, "limit": row.capacity, "unit": "claims"})
    if row.budget:
        budget = row.budget
        mine = used.get((offer_id, terms.periods(now)[budget["period"]]))
        held, redeemed = ("held", "redeemed") if budget["unit"] == "usage" else ("held_cents", "redeemed_cents")
        spent = getattr(mine, held if budget["counts"] == "issued" else redeemed) if mine else 0
        unit = "claims" if budget["unit"] == "usage" else "cents"
        name = "budget" if budget["period"] == "total" else f"budget of this {budget['period']}"
        found.append({"name": name, "used": spent, "limit": budget["limit"], "unit": unit})
    return found


def _asked(shop: Shop, offer_id: str) -> dict[str, Any]:
    """Return of the customers who did something last how many were asked, how many get the offer, and the refusals of
    the others by code."""
    snapshot, now = at_hand(shop)
    assert snapshot.offered is not None
    at, gets = snapshot.offered.at[offer_id], 0
    refused: Counter[str] = Counter()
    some = interactions.lately_active(shop.engine, ASKED)
    for customer_id in some:
        guest = people.meet(shop, snapshot, customer_id, now, None)
        decision = offers.decide(shop, snapshot, guest, Asked(), now)
        gets += at in decision.offers
        if at in decision.refused:
            refused[decision.refused[at][0]] += 1
    ordered = sorted(refused.items(), key=lambda one: (-one[1], CODES.index(one[0])))
    return {"asked": len(some), "gets": gets, "refused": [{"code": code, "count": count} for code, count in ordered]}
