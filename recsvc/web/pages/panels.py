"""What the page shows, as plain texts: every list of a customer, in the words of a shop.

Template and script only put these texts into place, so nothing is worded or decided twice.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from recsvc.errors import Unavailable
from recsvc.flows import karma, lists, offers, popular, related, repeat, showcase
from recsvc.flows.popular import Asked
from recsvc.flows.questions import Question
from recsvc.flows.replies import Answer, shelf_name
from recsvc.flows.shop import Shop
from recsvc.flows.showcase import Portrait

_HOME, _AGAIN, _OFFERS, _ROW = 12, 8, 6, 10
_TOLD: Final = 8
_DAYS = 28
_TILES = 10  # colours in page.css
_NO_CENTS: Final = {"CLP", "ISK", "JPY", "KRW", "VND"}
_BADGES: Final = {
    "collaborative": "taste", "neighbours": "goes with", "repeat": "buys again", "popularity": "popular",
    "session": "just now", "new": "new",
}  # fmt: skip
_WHY: Final = {
    "collaborative": "the taste shared with other customers", "neighbours": "what is bought by the same customers",
    "repeat": "how often and how lately they bought it", "popularity": "what everybody buys now",
    "session": "what they are doing just now", "new": "the date it came into the catalogue",
}  # fmt: skip
_HOW: Final = {
    "personal": "Made for this customer, from all they bought up to the last training.",
    "live": "Made for this customer a moment ago, with what they did since the last training.",
    "preferences": "A new customer: what sells and rises in the categories they named.",
    "segment": "A new customer: what others of the segment buy most.",
    "bestsellers": "A new customer: what the shop sells most. The first click or purchase makes it personal.",
}  # fmt: skip

BLANK: Final[dict[str, Any]] = dict.fromkeys(
    ("item_id", "href", "title", "category", "initial", "price", "reason", "badge", "note", "why", "slot",
     "recommendation_id", "benefit", "name", "until", "estimated", "mark", "day", "titles", "more", "goodwill"), ""
) | {"tile": 0}  # fmt: skip
"""A card without content: the template that the script clones."""


def view(shop: Shop, customer_id: str | None) -> dict[str, Any]:
    """Return the customer and all panels. Without a customer, the panels that are the same for everybody."""
    found: list[dict[str, Any]] = []
    customer = None
    if customer_id is not None:
        seen = showcase.portrait(shop, customer_id)
        customer = _customer(seen) | goodwill(shop, customer_id)
        found += [home(shop, customer_id), _again(shop, customer_id, seen), _offers(shop, customer_id)]
    found += [
        _row(popular.trending(shop, Asked(_DAYS, _ROW)), customer_id, "trending", "Trending",
             f"Rising most in the last {_DAYS} days, against the weeks before."),
        _row(popular.bestsellers(shop, Asked(_DAYS, _ROW)), customer_id, "bestsellers", "Bestsellers",
             f"Most orders in {_DAYS} days, net of returns."),
        _row(popular.new(shop, Asked(_DAYS, _ROW)), customer_id, "new", "New",
             f"In the catalogue for less than {_DAYS} days."),
    ]  # fmt: skip
    away = sorted({part for one in found for part in one.pop("away")})
    return {"customer": customer, "panels": found, "away": ", ".join(away)}


def home(shop: Shop, customer_id: str) -> dict[str, Any]:
    """Return the panel of the personal list."""
    answer = lists.recommendations(shop, customer_id, Question(limit=_HOME))
    reply = json.loads(answer.body)
    how = _HOW.get(reply["fallback"] or reply["source"], "")
    empty = "Nothing may be shown to this customer now."
    found = _panel(answer, customer_id, "home", "Recommended for you", how, empty)
    for card, one in zip(found["cards"], reply["items"], strict=True):
        card["badge"] = _BADGES.get(one["source"], one["source"])
    return found


def around(shop: Shop, item_id: str, customer_id: str | None) -> dict[str, Any]:
    """Return an opened item with the two panels around it.

    Raises:
        NotFound: no such item.
    """
    alike = related.similar(shop, item_id, customer_id, Question(limit=_ROW))
    together = related.bought_together(shop, item_id, customer_id, Question(limit=_ROW))
    found = [
        _row(alike, customer_id, "similar", "Similar", "Bought by the same customers."),
        _row(together, customer_id, "together", "Often bought together", "In the same order."),
    ]
    for one in found:
        one.pop("away")
    snapshot = shop.current.snapshot
    item = snapshot.catalogue.items.get(item_id)
    fields: dict[str, Any] = {"title": item_id, "categories": [], "price_cents": None, "currency": None}
    if item is not None:
        fields = {name: getattr(item, name) for name in fields}
    return {**_goods(item_id, fields, customer_id), "panels": found}


def facts(shop: Shop) -> dict[str, Any]:
    """Return what the foot of the page says: the model, and whether this is the demo shop."""
    snapshot = shop.current.snapshot
    # Only the demo's coupons carry this attribute; another shop's page must not call its customers simulated.
    simulated = any("campaign_type" in (one.attributes or {}) for one in snapshot.catalogue.offers)
    return {"model_version": snapshot.version if snapshot.model else None, "simulated": simulated}


def _customer(seen: Portrait) -> dict[str, Any]:
    if seen.away:
        about = "The store is away: what is shown is from the last training."
    elif not seen.known:
        about = "A customer this shop has not seen yet. They get a new customer's lists."
    else:
        about = f"{seen.n_orders:,} order{'s' * (seen.n_orders != 1)}"
        about = f"{seen.segment[:1].upper()}{seen.segment[1:]} · {about}" if seen.segment else about
    orders = [
        {"day": _day(one.day), "titles": ", ".join(one.titles),
         "more": f"and {one.lines - len(one.titles)} more" if one.lines > len(one.titles) else ""}
        for one in seen.orders
    ]  # fmt: skip
    doing = ", ".join(f"{what} {title}" for what, title in seen.doing)
    return {"customer_id": seen.customer_id, "about": about, "orders": orders, "doing": doing}


def _again(shop: Shop, customer_id: str, seen: Portrait) -> dict[str, Any]:
    answer = repeat.buy_again(shop, customer_id, _AGAIN)
    how = "What they bought before, the likeliest to be bought in the next two weeks first."
    return _panel(answer, customer_id, "again", "Buy it again", how, "Nothing is due.")


def _row(answer: Answer, customer_id: str | None, key: str, title: str, how: str) -> dict[str, Any]:
    return _panel(answer, customer_id, key, title, how, "Nothing here yet.")


def _panel(answer: Answer, customer_id: str | None, key: str, title: str, how: str, empty: str) -> dict[str, Any]:
    reply = json.loads(answer.body)
    cards = [_card(one, reply["recommendation_id"], customer_id) for one in reply["items"]]
    return {
        "key": key, "title": title, "how": how, "empty": "" if cards else empty, "cards": cards,
        "away": list(answer.degraded),
    }  # fmt: skip


def _card(item: dict[str, Any], recommendation_id: str, customer_id: str | None) -> dict[str, Any]:
    note = ""
    if "last_bought_at" in item:
        note = f"About every {max(item['interval_days'], 1):.0f} days, last on {_day(item['last_bought_at'])}"
    return _goods(item["item_id"], item["fields"], customer_id) | {
        "reason": "" if note else item["reasons"][0]["text"],
        "note": note, "badge": "",
        "why": _why(item), "slot": item["slot"], "recommendation_id": recommendation_id,
    }  # fmt: skip


def _why(item: dict[str, Any]) -> str:
    """Return the reason with its share of the score, as `engine/reasons.py` computed it."""
    reason, source = item["reasons"][0], item["source"]
    if source not in _WHY:
        return f"{reason['text']}."
    text = f"{reason['text']}. What speaks most for it is {_WHY[source]}"
    if source in {"collaborative", "neighbours"} and reason["item_id"] is not None:
        return f"{text}; the item named is {reason['share']:.0%} of that."
    return f"{text}: {reason['share']:.0%} of its score."


def _goods(item_id: str, fields: dict[str, Any], customer_id: str | None) -> dict[str, Any]:
    """Return what a card says of the item itself."""
    categories = fields["categories"] or []
    category = shelf_name(categories)
    asked = {"customer_id": customer_id, "item_id": item_id}
    return {
        "item_id": item_id, "href": "/?" + urlencode({name: value for name, value in asked.items() if value}),
        "title": fields["title"], "category": category, "initial": (category or fields["title"] or item_id)[:1].upper(),
        "tile": zlib.crc32(category.encode()) % _TILES,
        "price": _money(fields["price_cents"], fields["currency"]),
    }  # fmt: skip


def _offers(shop: Shop, customer_id: str) -> dict[str, Any]:
    answer = offers.offers(shop, customer_id, offers.Asked(_OFFERS, explain=True))
    reply = json.loads(answer.body)
    cards = []
    for one in reply["offers"]:
        until = one["valid_until"]
        worth = _money(round(one["score"]), one["currency"] or "USD")
        cards.append({
            "benefit": one["benefit"] or one["name"], "name": one["name"], "reason": one["reasons"][0]["text"],
            "until": f"until {_day(until, before=True)}" if until else "", "badge": one["kind"].replace("_", " "),
            "estimated": "estimated" if "benefit" in one["estimated"] else "",
            "href": "/pages/offer?" + urlencode({"offer_id": one["offer_id"]}),
            "note": f"Taken up by {one['p_redeem']:.1%} of customers like this, expected to leave {worth}: estimates",
        })  # fmt: skip
    return {
        "key": "offers", "title": "Offers for you",
        "how": "By what each is expected to leave for the shop; who buys within a week anyway gets discounts last.",
        "empty": "" if cards else "No offer is for them now.", "cards": cards, "away": list(answer.degraded),
        "refused": _refused(reply["not_eligible"]),
    }  # fmt: skip


def _refused(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the offers that do not come, those first that are refused to this customer; of the others how many."""
    told = [one for one in given if one["code"] not in {"ended", "not_started", "inactive", "below_rank"}]
    found = [
        {"benefit": one["offer_id"], "note": f"{one['code'].replace('_', ' ')}: {one['detail']}",
         "href": "/pages/offer?" + urlencode({"offer_id": one["offer_id"]})}
        for one in told[:_TOLD]
    ]  # fmt: skip
    rest = Counter(one["code"].replace("_", " ") for one in given if one not in told[:_TOLD])
    if rest:
        said = ", ".join(f"{count:,} {code}" for code, count in rest.most_common())
        found.append({"benefit": "Others", "note": said, "href": ""})
    return found


def goodwill(shop: Shop, customer_id: str) -> dict[str, Any]:
    """Return what stands between a customer and the shop, in words."""
    try:
        found = karma.of_customer(shop, customer_id)
    except Unavailable:
        return {"goodwill": "Goodwill cannot be looked up just now."}
    words = {"detractor": "unhappy answer", "low_satisfaction": "unhappy answer", "hard_effort": "unhappy answer"}
    parts = ", ".join(
        f"{words.get(one['code'], one['code']).replace('_', ' ')} ({one['points']:+.1f})"
        for one in found["parts"]
        if one["points"]
    )
    paused = "Promotions pause; service comes first." if found["promotions_paused"] else ""
    return {"goodwill": f"Goodwill {found['karma']:+.1f}{': ' + parts if parts else ''}. {paused}".strip()}


def _day(moment: str, before: bool = False) -> str:
    """Return the UTC day of an RFC 3339 moment for reading; `before`: the last day that ends by then."""
    at = datetime.fromisoformat(moment) - timedelta(seconds=1 if before else 0)
    return f"{at.day} {at:%b %Y}"


def _money(cents: int | None, currency: str | None) -> str:
    if cents is None:
        return ""
    amount = f"{cents:,}" if currency in _NO_CENTS else f"{cents / 100:,.2f}"
    return f"${amount}" if currency == "USD" else f"{amount} {currency or ''}".strip()
