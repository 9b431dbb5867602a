"""The words of recsvc as data: kinds of interaction, channels, placements, sources and reasons.

Weights are starting values; `configs/training.yaml` may set others. Sign matters: what went wrong counts against.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of interaction: its weight in training and whether it must name an item or an offer."""

    weight: float
    needs_item: bool = True
    needs_offer: bool = False


KINDS: Final[dict[str, Kind]] = {
    "view": Kind(1), "click": Kind(1), "impression": Kind(0), "wishlist": Kind(2), "add_to_cart": Kind(3),
    "remove_from_cart": Kind(-1), "purchase": Kind(5), "refund": Kind(-4), "return": Kind(-6), "cancel": Kind(-1),
    # A review weighs 2 · (stars − 3): see review_weight.
    "review": Kind(0), "dislike": Kind(-5),
    "complaint": Kind(-5, needs_item=False),
    "complaint_resolved": Kind(0, False), "support_resolved": Kind(0, False), "delivery_late": Kind(0, False),
    "offer_shown": Kind(0, False, True), "offer_clicked": Kind(0, False, True),
    "offer_redeemed": Kind(0, False, True), "offer_declined": Kind(0, False, True),
    "email_open": Kind(0, False), "email_click": Kind(0, False), "unsubscribe": Kind(0, False),
    "support_contact": Kind(0, False), "store_visit": Kind(0, False), "social_mention": Kind(0, False),
}  # fmt: skip

KIND_NAMES: Final[tuple[str, ...]] = tuple(KINDS)
# What these say is about the offer, the parcel or the fit, not about the customer's taste.
TASTELESS_REASONS: Final = frozenset({"wrong_size", "defective"})
CHANNELS: Final = ("web", "app", "email", "sms", "push", "store", "support", "social")
# What a key may do → all that it may do by it. `catalog` is for the system that keeps the catalogue: it asks no lists.
SCOPES: Final[dict[str, tuple[str, ...]]] = {
    "storefront": ("storefront",), "catalog": ("catalog",), "campaign": ("campaign", "storefront"),
    "admin": ("storefront", "catalog", "campaign", "admin"),
}  # fmt: skip
PLACEMENTS: Final = ("home", "item_page", "cart", "newsletter")
OFFER_KINDS: Final = ("discount", "gift", "early_access", "event", "experience", "service", "points", "content")
# What pauses while a customer was let down: all that sells. Service makes good.
PROMOTIONS: Final = tuple(kind for kind in OFFER_KINDS if kind != "service")

NOTHING: Final = "a purchase of 0 pieces is none"


def rejects(kind: str, reason: str | None) -> bool:
    """Whether an interaction says: not for me. What was liked before it no longer counts; a later purchase lifts it."""
    return kind == "dislike" or (kind == "return" and reason == "disliked")


def gives_back(kind: str) -> bool:
    """Whether an interaction says: the customer no longer has what they bought."""
    return kind in {"return", "refund"}


def regrets(kind: str) -> bool:
    """Whether an interaction says, whatever the reason: it would have been better not to show this item."""
    return kind in {"return", "refund", "dislike", "complaint"}


def interaction_weight(kind: str, stars: int | None, reason: str | None, weights: dict[str, float]) -> float:
    """Return the signed training weight of one interaction.

    Args:
        kind: a key of KINDS.
        stars: 1 to 5 for a review, else None. A review weighs 2 · (stars − 3).
        reason: why an item came back. `wrong_size` and `defective` say nothing of taste and weigh 0.
        weights: kind → weight; a kind that is missing takes the default of KINDS.
    """
    if kind == "review":
        return 2.0 * ((stars or 3) - 3)
    if kind == "return" and reason in TASTELESS_REASONS:
        return 0.0
    return weights.get(kind, KINDS[kind].weight)


class Source(StrEnum):
    """How a list was made."""

    PERSONAL = "personal"
    LIVE = "live"
    SESSION = "session"
    FALLBACK = "fallback"


class Generator(StrEnum):
    """Which candidate generator contributed most to an item. The order is the code stored in artifacts."""

    COLLABORATIVE = "collaborative"
    NEIGHBOURS = "neighbours"
    REPEAT = "repeat"
    POPULARITY = "popularity"
    SESSION = "session"
    RULE = "rule"


GENERATORS: Final[tuple[Generator, ...]] = tuple(Generator)
# Those whose weight in the blend is learnt; the session works on top of them, on a live list only.
BLENDED: Final[tuple[Generator, ...]] = GENERATORS[:4]


class Reason(StrEnum):
    """Why an item is shown. The order is the code stored in artifacts."""

    BECAUSE_BOUGHT = "because_bought"
    BECAUSE_VIEWED = "because_viewed"
    BOUGHT_TOGETHER = "bought_together"
    DUE_AGAIN = "due_again"
    TRENDING_IN = "trending_in"
    NEW_IN = "new_in"
    OFFER_FIT = "offer_fit"
    FALLBACK = "fallback"
    PROMOTED = "promoted"
    EXPLORATION = "exploration"


REASONS: Final[tuple[Reason, ...]] = tuple(Reason)
