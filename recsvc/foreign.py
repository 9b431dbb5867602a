"""The names other systems use: one table of kinds, and how each system lays out its events.

`native` turns one event of GA4, Segment, Snowplow, Google Retail, Amazon Personalize or Gorse into recsvc's own
interactions, one per order line, with the fields still unchecked: the strict check comes after it and is the
same for all. Money is a decimal number there and integer minor units here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from recsvc.errors import InvalidRequest
from recsvc.intake import ID_BYTES, digest, shorten

Event = dict[str, Any]

# foreign name → our kind, by system.
KINDS: Final[dict[str, dict[str, str]]] = {
    "ga4": {
        "view_item": "view", "select_item": "click", "view_item_list": "impression", "add_to_wishlist": "wishlist",
        "add_to_cart": "add_to_cart", "remove_from_cart": "remove_from_cart", "purchase": "purchase",
        "refund": "refund", "view_promotion": "offer_shown", "select_promotion": "offer_clicked",
    },
    "segment": {
        "Product Viewed": "view", "Product Clicked": "click", "Product List Viewed": "impression",
        "Product Added to Wishlist": "wishlist", "Product Added": "add_to_cart", "Product Removed": "remove_from_cart",
        "Order Completed": "purchase", "Order Refunded": "refund", "Order Cancelled": "cancel",
        "Product Reviewed": "review", "Promotion Viewed": "offer_shown", "Promotion Clicked": "offer_clicked",
        "Coupon Applied": "offer_redeemed",
    },
    "snowplow": {
        "product_view": "view", "list_click": "click", "list_view": "impression", "add_to_cart": "add_to_cart",
        "remove_from_cart": "remove_from_cart", "transaction": "purchase", "refund": "refund",
        "promo_view": "offer_shown", "promo_click": "offer_clicked",
    },
    "google_retail": {
        "detail-page-view": "view", "add-to-cart": "add_to_cart", "purchase-complete": "purchase",
        "remove-from-cart": "remove_from_cart",
    },
    "personalize": {
        "View": "view", "Click": "click", "AddToCart": "add_to_cart", "Purchase": "purchase", "rating": "review",
        "Viewed": "offer_shown", "Taken": "offer_redeemed", "Not Taken": "offer_declined",
    },
    "gorse": {
        "read": "view", "view": "view", "click": "click", "like": "wishlist", "star": "wishlist", "cart": "add_to_cart",
        "purchase": "purchase", "dislike": "dislike", "rating": "review",
    },
}  # fmt: skip
SOURCES: Final = ("native", *KINDS)
# Beyond this it is no moment, and beyond 1e308 no float either.
_MOST_MICROS: Final = 1e18
_SNOWPLOW = "com_snowplowanalytics_snowplow_ecommerce"


def native(source: str, event: Event) -> list[Event]:
    """Return the interactions that one foreign event holds; one event of `native` may hold an order's lines.

    Raises:
        InvalidRequest: not a known event of that system; names the field.
    """
    if not isinstance(event, dict):
        raise InvalidRequest("body: must be a JSON object")
    found = _READERS[source](event)
    return [{name: value for name, value in one.items() if value is not None} for one in found]


def apart(source: str, payload: Event) -> list[Event]:
    """Return the events of a payload that holds several, each as a payload of its own; else the payload.

    Each is checked for itself, so an event of a name we do not know does not cost the purchase beside it.
    """
    field = {"ga4": "events", "personalize": "eventList"}.get(source, "")
    inner = payload.get(field) if field and isinstance(payload, dict) else None
    if not isinstance(inner, list) or len(inner) < 2:
        return [payload]
    rest = {name: value for name, value in payload.items() if name != field}
    return [{**rest, field: [one]} for one in inner]


def unfold(event: Event) -> list[Event]:
    """Return one interaction per line of `items`, each with an id of its own derived from the order's."""
    lines = event.get("items")
    if lines is None:
        return [event]
    if not isinstance(lines, list) or not lines or not all(isinstance(line, dict) for line in lines):
        raise InvalidRequest("items: must be a list of lines with item_id", {"items": "must be a list of lines"})
    if event.get("item_id") is not None:
        raise InvalidRequest("items: give either item_id or items", {"items": "give either item_id or items"})
    whole = {name: value for name, value in event.items() if name != "items"}
    known = {"item_id", "quantity", "value_cents", "stars", "reason", "properties"}
    for line in lines:
        odd = sorted(set(line) - known)
        if odd:
            raise InvalidRequest(f"items.{odd[0]}: is not a known field of a line", {f"items.{odd[0]}": "is unknown"})
    out = []
    for n, line in enumerate(lines):
        one = {**whole, **line}
        if isinstance(whole.get("interaction_id"), str):
            one["interaction_id"] = _part(whole["interaction_id"], f"#{n}")
        out.append(one)
    return out


def _part(whole: str, mark: str) -> str:
    """Return the id of a part of what came under one id; where both are longer than an id may be, a digest's."""
    name = whole + mark
    return name if len(name.encode("utf-8", "replace")) <= ID_BYTES else digest(whole).hex() + mark


def _ga4(event: Event) -> list[Event]:
    """GA4: the Measurement Protocol's payload, one of its events, or a row of the BigQuery export."""
    if "events" in event:
        rest = {name: value for name, value in event.items() if name != "events"}
        return [one for inner in _list(event, "events") for one in _ga4({**rest, **_object(inner, "events")})]
    params = _object(event.get("params") or event.get("ecommerce") or {}, "params")
    kind = _kind("ga4", event.get("name") or event.get("event_name") or event.get("event"), "name")
    micros = event.get("timestamp_micros") or event.get("event_timestamp") or params.get("timestamp_micros")
    items = event.get("items") or params.get("items")
    order = params.get("transaction_id") or _object(event.get("ecommerce") or {}, "ecommerce").get("transaction_id")
    whole = {
        **_who(event.get("user_id"), event.get("client_id") or event.get("user_pseudo_id")),
        "kind": kind, "order_id": order, "channel": "web", "currency": params.get("currency"),
        "occurred_at": _micros(micros),
        "offer_id": params.get("promotion_id") or params.get("coupon") if kind.startswith("offer") else None,
    }  # fmt: skip
    return _lines(whole, items, "item_id", "price", "quantity")


def _segment(event: Event) -> list[Event]:
    """Segment's `track` call."""
    properties = _object(event.get("properties") or {}, "properties")
    kind = _kind("segment", event.get("event"), "event")
    whole = {
        **_who(event.get("userId"), event.get("anonymousId")),
        "interaction_id": event.get("messageId"), "kind": kind, "order_id": properties.get("order_id"),
        "occurred_at": event.get("timestamp") or event.get("originalTimestamp"), "channel": "web",
        "currency": properties.get("currency"),
        "offer_id": _first(properties, "coupon_id", "promotion_id", "coupon") if kind.startswith("offer") else None,
        "stars": properties.get("rating") if kind == "review" else None,
    }  # fmt: skip
    lines = properties.get("products") or ([properties] if "product_id" in properties else None)
    return _lines(whole, lines, "product_id", "price", "quantity")


def _snowplow(event: Event) -> list[Event]:
    """Snowplow's e-commerce events: enriched JSON, or its short form with `type` and `products`."""
    action = _object(event.get(f"unstruct_event_{_SNOWPLOW}_snowplow_ecommerce_action_1") or event, "action")
    deals = event.get(f"contexts_{_SNOWPLOW}_transaction_1") or [event.get("transaction") or {}]
    deal = _object(deals[0], "transaction") if isinstance(deals, list) and deals else {}
    promotions = [_object(one, "promotion") for one in _list(event, f"contexts_{_SNOWPLOW}_promotion_1")]
    kind = _kind("snowplow", action.get("type") or event.get("event_name"), "type")
    whole = {
        **_who(event.get("user_id"), event.get("domain_userid") or event.get("domain_sessionid")),
        "interaction_id": event.get("event_id"), "kind": kind, "order_id": deal.get("transaction_id"),
        "occurred_at": event.get("derived_tstamp") or event.get("collector_tstamp"), "channel": "web",
        "currency": deal.get("currency"),
        "offer_id": promotions[0].get("id") if promotions else event.get("promotion_id"),
    }  # fmt: skip
    lines = event.get(f"contexts_{_SNOWPLOW}_product_1") or event.get("products")
    return _lines(whole, lines, "id", "price", "quantity")


def _google_retail(event: Event) -> list[Event]:
    """Google Retail's `UserEvent`."""
    deal = _object(event.get("purchaseTransaction") or {}, "purchaseTransaction")
    user = _object(event.get("userInfo") or {}, "userInfo")
    whole = {
        **_who(user.get("userId"), event.get("visitorId")),
        "kind": _kind("google_retail", event.get("eventType"), "eventType"), "order_id": deal.get("id"),
        "occurred_at": event.get("eventTime"), "channel": "web", "currency": deal.get("currencyCode"),
    }  # fmt: skip
    details = [_object(one, "productDetails") for one in _list(event, "productDetails")]
    lines = [{**_object(one.get("product") or {}, "product"), "quantity": one.get("quantity")} for one in details]
    return _lines(whole, lines, "id", "price", "quantity")


def _personalize(event: Event) -> list[Event]:
    """Amazon Personalize's `PutEvents`, or one event of its list."""
    inner = _list(event, "eventList") if "eventList" in event else [event]
    out = []
    for one in [_object(each, "eventList") for each in inner]:
        who = _who(event.get("userId"), event.get("sessionId"))
        base = {
            **who,
            "occurred_at": one.get("sentAt"),
            "recommendation_id": one.get("recommendationId"),
            "channel": "web",
        }
        kind = _kind("personalize", one.get("eventType"), "eventType")
        offer = kind.startswith("offer")
        out.append({
            **base, "interaction_id": one.get("eventId"), "kind": kind, "item_id": None if offer else one.get("itemId"),
            "offer_id": one.get("itemId") if offer else None,
            "stars": _whole(one.get("eventValue")) if kind == "review" else None,
        })  # fmt: skip
        seen = [{**base, "kind": "impression", "item_id": item} for item in _list(one, "impression")]
        if one.get("eventId") is not None:
            seen = [{**shown, "interaction_id": _part(str(one["eventId"]), f"#i{n}")} for n, shown in enumerate(seen)]
        out += seen
    return out


def _gorse(event: Event) -> list[Event]:
    """Gorse's feedback."""
    kind = _kind("gorse", event.get("FeedbackType"), "FeedbackType")
    return [{
        "customer_id": event.get("UserId"), "item_id": event.get("ItemId"), "kind": kind,
        "occurred_at": event.get("Timestamp"), "stars": _whole(event.get("Value")) if kind == "review" else None,
    }]  # fmt: skip


_READERS: Final[dict[str, Callable[[Event], list[Event]]]] = {
    "native": unfold, "ga4": _ga4, "segment": _segment, "snowplow": _snowplow, "google_retail": _google_retail,
    "personalize": _personalize, "gorse": _gorse,
}  # fmt: skip


def _lines(whole: Event, lines: Any, item: str, price: str, quantity: str) -> list[Event]:
    """Return one interaction per line; the event itself where it has none."""
    if not lines:
        return [whole]
    if not isinstance(lines, list):
        raise InvalidRequest("items: must be a list", {"items": "must be a list"})
    out = []
    for n, line in enumerate([_object(each, "items") for each in lines]):
        count = _count(line.get(quantity))
        cents = _cents(line.get(price))
        one = {
            **whole, "item_id": line.get(item), "quantity": count,
            "value_cents": cents * count if cents is not None and isinstance(count, int) and count else cents,
        }  # fmt: skip
        if isinstance(whole.get("interaction_id"), str) and len(lines) > 1:
            one["interaction_id"] = _part(whole["interaction_id"], f"#{n}")
        out.append(one)
    return out


def _who(user: Any, anonymous: Any) -> Event:
    return {"session_id": anonymous} if user is None or user == "" else {"customer_id": user}


def _kind(source: str, name: Any, field: str) -> str:
    kind = KINDS[source].get(name) if isinstance(name, str) else None
    if kind is None:
        shown = shorten(name) if isinstance(name, str) else "missing"
        known = ", ".join(KINDS[source])
        raise InvalidRequest(f"{field}: {shown}, must be one of {known}", {field: "is not a known event"})
    return kind


def _first(event: Event, *names: str) -> Any:
    return next((event[name] for name in names if event.get(name) is not None), None)


def _list(event: Event, field: str) -> list[Any]:
    value = event.get(field) or []
    if not isinstance(value, list):
        raise InvalidRequest(f"{field}: must be a list", {field: "must be a list"})
    return value


def _object(value: Any, field: str) -> Event:
    if not isinstance(value, dict):
        raise InvalidRequest(f"{field}: must be an object", {field: "must be an object"})
    return value


def _micros(value: Any) -> Any:
    """Return microseconds, a number or its text, as epoch seconds."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:20])
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return value
    return value / 1e6 if abs(value) < _MOST_MICROS else value


def _whole(value: Any) -> Any:
    """Return 2.0 as 2; anything else is left for the strict check to name."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _count(value: Any) -> Any:
    """Return a quantity that is written as text as a number, as a price is; empty text as none."""
    if value == "":
        return None
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,15}(\.0*)?\s*", value, re.ASCII):
        return int(Decimal(value.strip()))
    return _whole(value)


def _cents(price: Any) -> int | None:
    """Return a decimal price in minor units of a currency with two of them."""
    if price is None or price == "":
        return None
    try:
        return int((Decimal(str(price)) * 100).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError):
        raise InvalidRequest(f"price: {shorten(str(price))}, must be a number", {"price": "must be a number"}) from None
