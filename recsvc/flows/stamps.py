"""Stamps: what a kept answer was made from, and whether that still stands.

An answer stands while its model, its customer's revision and the rules are those of now, every item in it may be
shown, and nothing that it says of an item has changed. Stock that moves elsewhere in the catalogue leaves it alone.
A list that was chosen by the customer's own row (segment, preferences) stands only while nothing at all has changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recsvc.concepts import Source
from recsvc.flows import customers, replies
from recsvc.flows.current import Snapshot
from recsvc.intake import digest
from recsvc.store.cache import Stamp

_FOREVER = 1e12  # JSON has no infinity


@dataclass(frozen=True, slots=True)
class Made:
    """A reply as it was made. customer_id: None for what is the same for everybody; revision: that customer's."""

    reply: dict[str, Any]
    body: bytes
    customer_id: str | None
    revision: int


def stamped(snapshot: Snapshot, made: Made) -> Stamp:
    """Return the stamp of an answer that was made from `snapshot`."""
    assert snapshot.model is not None and snapshot.shelf is not None
    known = snapshot.model.rows
    listed = [one["item_id"] for one in made.reply["items"]]
    named = {reason["item_id"] for one in made.reply["items"] for reason in one["reasons"]}
    named = (named | {made.reply.get("item_id")}) - {None, *listed}
    unknown = {one for one in (*named, *listed) if one not in known}
    by_row = made.customer_id is not None and made.reply["source"] == Source.FALLBACK.value
    return Stamp(
        snapshot.version, made.revision, snapshot.rules.mark, snapshot.catalogue.change,
        min(snapshot.shelf.until, _FOREVER),
        rows=tuple(known[one] for one in listed if one in known),
        cited=tuple(sorted(known[one] for one in named if one in known)),
        # Of an item that neither the model nor the newcomers have nobody keeps count here.
        strict=by_row or not_profiled(snapshot, made.customer_id) or not snapshot.newcomers.items.keys() >= unknown,
        newcomers=snapshot.newcomers.mark, source=made.reply["source"], etag=replies.etag(made.body),
    )  # fmt: skip


def stands(snapshot: Snapshot, stamp: Stamp, customer_id: str | None, revision: int, now: float) -> bool:
    """Whether an answer is still what would be made now, but for its age.

    Args:
        revision: the customer's newest, 0 for nobody's.
    """
    if revision <= customers.seen_until(snapshot):
        revision = 0  # the model has seen all they did
    if stamp.version != snapshot.version or stamp.revision != revision or now >= stamp.until:
        return False
    if stamp.newcomers != snapshot.newcomers.mark or stamp.rules != snapshot.rules.mark:
        return False
    if stamp.catalogue == snapshot.catalogue.change:
        return True
    if stamp.strict or not_profiled(snapshot, customer_id) or snapshot.shelf is None or snapshot.changes is None:
        return False
    rows = np.array(stamp.rows + stamp.cited, np.int64)
    if (snapshot.changes[rows] > stamp.catalogue).any():
        return False
    return bool(snapshot.shelf.open[rows[: len(stamp.rows)]].all())


def not_profiled(snapshot: Snapshot, customer_id: str | None) -> bool:
    """Whether a customer wants no profile."""
    unprofiled = snapshot.catalogue.unprofiled
    return bool(unprofiled) and customer_id is not None and digest(customer_id) in unprofiled
