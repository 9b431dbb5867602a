"""From rows to a reply: ids, titles, reasons in words, and the final bytes."""

from __future__ import annotations

import base64
import hashlib
import random
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from recsvc.concepts import GENERATORS, REASONS, Reason, Source
from recsvc.engine.history import History
from recsvc.engine.lists import Listed
from recsvc.flows import texts
from recsvc.flows.current import Snapshot
from recsvc.store.database import MICROSECONDS

_names = random.Random(secrets.randbits(256))  # noqa: S311


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out: the bytes, whether they came from the cache (`hit`, `miss`; `stale`: right, but due to be made
    anew), what was away when they were made, and how the list was made. tag: names the bytes, when that is known."""

    body: bytes
    cache: str
    degraded: tuple[str, ...] = ()
    source: str = ""
    tag: str = ""

    @property
    def etag(self) -> str:
        """Names these bytes."""
        return self.tag or etag(self.body)


def etag(body: bytes) -> str:
    """Return a name of these bytes."""
    return hashlib.blake2b(body, digest_size=12).hexdigest()


def new_id() -> str:
    """Return a name for a list or an exposure: 96 random bits, of which none is a secret."""
    # Asking the system each time lets another thread run, which costs several times what the name does.
    return base64.urlsafe_b64encode(_names.getrandbits(96).to_bytes(12, "big")).decode("ascii")


def moment(now: float) -> str:
    """Return epoch seconds as RFC 3339 UTC."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def encode(value: dict[str, Any]) -> bytes:
    """Return the bytes of a reply."""
    return msgspec.json.encode(value)


def envelope(
    snapshot: Snapshot, now: float, placement: str, customer_id: str | None, source: Source, fallback: str | None,
    items: list[dict[str, Any]], offset: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Return the reply of a list; slots are numbered here, from the one behind `offset`."""
    for slot, item in enumerate(items, offset + 1):
        item["slot"] = slot
    return {
        "recommendation_id": new_id(), "customer_id": customer_id, "placement": placement,
        "model_version": snapshot.model.version if snapshot.model else None, "variant": "control",
        "source": source.value, "fallback": fallback, "generated_at": moment(now), "items": items,
    }  # fmt: skip


def items_of(
    snapshot: Snapshot, listed: Listed, history: History | None = None, text: str | None = None,
    locale: str | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return the items of a reply.

    Args:
        history: the customer's, for saying how often something was bought.
        text: the key in `texts.TEXTS` of the words of every reason, instead of its code.
        locale: the language of the words, as in `texts.language`.
    """
    assert snapshot.model is not None
    found, why = [], listed.reasons
    for i, row in enumerate(listed.rows.tolist()):
        reason = REASONS[why.codes[i]]
        cited = int(why.cited[i])
        found.append(item(
            snapshot, snapshot.model.item_ids[row], float(listed.scores[i]), GENERATORS[why.generators[i]].value,
            {
                "code": reason.value,
                "item_id": snapshot.model.item_ids[cited] if cited >= 0 else None,
                "share": round(float(why.shares[i]), 4),
                "text": _say(snapshot, reason, row, cited, history, text, locale),
            },
        ))  # fmt: skip
        if listed.propensities is not None:
            found[-1]["propensity"] = round(float(listed.propensities[i]), 6)
    return found


def item(snapshot: Snapshot, item_id: str, score: float, source: str, reason: dict[str, Any]) -> dict[str, Any]:
    """Return one item of a reply, without its slot."""
    return {
        "item_id": item_id, "slot": 0, "score": round(score, 6), "source": source, "propensity": 1.0,
        "reasons": [reason], "fields": fields(snapshot, item_id),
    }  # fmt: skip


def newcomer(snapshot: Snapshot, item_id: str, share: float, locale: str | None) -> dict[str, Any]:
    """Return an item of a reply that the model does not know, without its slot."""
    categories = snapshot.catalogue.items[item_id].categories or []
    text = texts.say(Reason.NEW_IN, locale, category=shelf_name(categories))
    return item(snapshot, item_id, share, "new", {
        "code": Reason.NEW_IN.value, "item_id": None, "share": 1.0, "text": text,
    })  # fmt: skip


def fields(snapshot: Snapshot, item_id: str) -> dict[str, Any]:
    """Return what a shop page shows of an item."""
    one = snapshot.catalogue.items.get(item_id)
    if one is None:
        return {"title": item_id, "brand": None, "categories": [], "price_cents": None, "currency": None}
    return {
        "title": one.title, "brand": one.brand, "categories": one.categories, "price_cents": one.price_cents,
        "currency": one.currency,
    }  # fmt: skip


def say_repeat(history: History | None, row: int, locale: str | None = None) -> str:
    """Return how often and when something was bought."""
    at = int(np.searchsorted(history.item_rows, row)) if history is not None else 0
    if history is None or at >= len(history) or history.item_rows[at] != row or not history.orders[at]:
        return texts.say(Reason.DUE_AGAIN, locale)
    return texts.say_bought(int(history.orders[at]), float(history.last_at[at]), locale)


def iso(micro: int | None) -> str | None:
    """Return microseconds since 1970 as RFC 3339."""
    return None if micro is None else moment(micro / MICROSECONDS)


def _say(
    snapshot: Snapshot, reason: Reason, row: int, cited: int, history: History | None, text: str | None,
    locale: str | None,
) -> str:  # fmt: skip
    assert snapshot.model is not None
    if reason is Reason.DUE_AGAIN:
        return say_repeat(history, row, locale)
    name = text or reason.value
    if reason is Reason.FALLBACK and history is not None and len(history):
        name = texts.LIKE_YOU
    if cited < 0 and "{title}" in texts.TEXTS[texts.DEFAULT][name]:
        name = Reason.TRENDING_IN
    title = fields(snapshot, snapshot.model.item_ids[cited])["title"] if cited >= 0 else ""
    return texts.say(name, locale, title, shelf_name(fields(snapshot, snapshot.model.item_ids[row])["categories"]))


def shelf_name(categories: list[str]) -> str:
    """Return the category to name in a sentence: the second, which is neither the department nor the variety; empty
    where there is none."""
    return categories[min(1, len(categories) - 1)] if categories else ""
