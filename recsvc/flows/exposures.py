"""Exposures: what each reply returned, recorded beside the answer and never before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from recsvc.engine.model import hash_customer
from recsvc.flows.current import Current
from recsvc.flows.replies import new_id
from recsvc.flows.shop import Shop
from recsvc.intake import digest
from recsvc.store import exposures
from recsvc.store.exposures import ListLine, Returned


class _Item(msgspec.Struct):
    item_id: str
    slot: int
    propensity: float = 1.0


class _List(msgspec.Struct):
    """Any reply: one list, or what holds several as blocks."""

    recommendation_id: str = ""
    customer_id: str | None = None
    placement: str = ""
    model_version: str | None = None
    source: str = ""
    fallback: str | None = None
    items: list[_Item] = []
    blocks: list[_List] = []


_DECODER = msgspec.json.Decoder(_List)


def expose(shop: Shop, body: bytes, etag: str, cache: str, channel: str | None = None) -> str:
    """Have it recorded that `body` goes out now, and return the exposure's id, for `X-Exposure-Id`.

    Costs the same for every list, however long: its items are read later, by the thread that writes.

    Args:
        etag: names these bytes.
        cache: hit, miss or stale.
    """
    exposure_id = new_id()
    shop.exposures.put(Returned(exposure_id, shop.clock(), channel, cache, etag, body))
    return exposure_id


def lists_in(current: Current, body: bytes) -> list[tuple[ListLine, str | None]]:
    """Return the lists in a reply's body, each with its customer as a keyed hash; those of offers are none.

    Who wants no profile is nobody here.
    """
    whole = _DECODER.decode(body)
    return [found for reply in (whole, *whole.blocks) for found in _line(current, reply)]


def _line(current: Current, reply: _List) -> list[tuple[ListLine, str | None]]:
    if not reply.recommendation_id or not reply.placement:
        return []
    slots = [one.slot for one in reply.items]
    chances = [one.propensity for one in reply.items]
    line = ListLine(
        reply.recommendation_id, reply.placement, reply.model_version, reply.source, reply.fallback,
        [one.item_id for one in reply.items],
        None if slots == list(range(1, len(slots) + 1)) else slots,
        None if all(chance == 1.0 for chance in chances) else chances,
    )  # fmt: skip
    return [(line, _hashed(current, reply.customer_id))]


def _hashed(current: Current, customer_id: str | None) -> str | None:
    state = current.snapshot.state
    if customer_id is None or digest(customer_id) in state.catalogue.unprofiled:
        return None
    high, low = hash_customer(customer_id, state.facts.customer_secret)
    return f"{high:016x}{low:016x}"


def rows(folder: Path, since: float) -> Iterator[dict[str, Any]]:
    """Yield what was shown since then (epoch seconds), a row for each slot; an empty list has none."""
    for shown, listed in exposures.read(folder, since):
        slots = listed.slots or range(1, len(listed.items) + 1)
        chances = listed.propensities or [1.0] * len(listed.items)
        for item_id, slot, propensity in zip(listed.items, slots, chances, strict=True):
            yield {
                "exposure_id": shown.exposure_id, "recommendation_id": shown.recommendation_id, "at": shown.at,
                "customer": shown.customer, "placement": listed.placement, "channel": shown.channel,
                "version": listed.version, "source": listed.source, "fallback": listed.fallback,
                "cache": shown.cache, "slot": slot, "item_id": item_id, "propensity": propensity,
            }  # fmt: skip
