"""Requests that are wrong in every way a caller was ever seen to be wrong, made from ones that are right."""

from __future__ import annotations

import copy
import gzip
import json
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

Request = tuple[str, str, bytes, dict[str, str]]
"""method, path with its query, body, headers."""

AT = "2026-11-01T10:00:00Z"
_VIEW = {"customer_id": "c3", "kind": "view", "item_id": "tea-05", "occurred_at": AT, "interaction_id": "f-1"}
_ORDER = {
    "customer_id": "c3", "kind": "purchase", "order_id": "o-1", "occurred_at": AT, "currency": "EUR",
    "items": [{"item_id": "tea-01", "quantity": 2, "value_cents": 300}, {"item_id": "tea-02", "properties": {"a": [1]}}],
}  # fmt: skip
_FOREIGN: dict[str, Any] = {
    "ga4": {"client_id": "cl", "user_id": "u", "timestamp_micros": "1795168800000000", "events": [
        {"name": "purchase", "params": {"transaction_id": "T", "items": [{"item_id": "a", "price": 9.99, "quantity": 2}]}}]},
    "segment": {"event": "Order Completed", "userId": "u", "messageId": "m", "timestamp": AT,
                "properties": {"order_id": "T", "products": [{"product_id": "a", "price": 2.5, "quantity": 2}]}},
    "snowplow": {"event_id": "e", "user_id": "u", "derived_tstamp": AT, "type": "transaction",
                 "contexts_com_snowplowanalytics_snowplow_ecommerce_promotion_1": [{"id": "p"}],
                 "contexts_com_snowplowanalytics_snowplow_ecommerce_transaction_1": [{"transaction_id": "T"}],
                 "products": [{"id": "a", "price": 1, "quantity": 3}]},
    "google_retail": {"eventType": "purchase-complete", "userInfo": {"userId": "u"}, "eventTime": AT,
                      "productDetails": [{"product": {"id": "a"}, "quantity": 2}], "purchaseTransaction": {"id": "T"}},
    "personalize": {"userId": "u", "sessionId": "s", "eventList": [
        {"eventId": "e", "eventType": "View", "itemId": "a", "sentAt": 1795168800, "impression": ["b"]}]},
    "gorse": {"FeedbackType": "rating", "UserId": "u", "ItemId": "a", "Timestamp": AT, "Value": 4},
}  # fmt: skip
_ITEM = {
    "item_id": "f-item",
    "title": "Tea",
    "categories": ["drinks"],
    "price_cents": 500,
    "stock": 3,
    "available_to": AT,
}
_CUSTOMER = {"customer_id": "f-c", "consent": {"email": True}, "quiet_hours": "21:00-08:00", "preferences": ["tea"]}
_OFFER = {"offer_id": "f-o", "name": "Off", "kind": "discount", "items": ["tea-01"], "attributes": {"x": {"y": [1]}}}

_QUESTION = {
    "customer_id": "c3", "limit": 5, "offset": 1, "exclude": ["tea-01"], "category": ["drinks"], "fields": ["title"],
    "max_per": ["brand:3"], "diversity": 0.3, "min_relevance": 0.01, "explore": 0.1, "locale": "pt", "channel": "web",
    "filter": {"price_cents": {"lte": 900}, "not": {"brand": {"in": ["x"]}}}, "items": ["coffee-00"],
    "session": [{"kind": "view", "item_id": "tea-05", "occurred_at": AT}, {"kind": "purchase", "items": [{"item_id": "tea-02"}]}],
    "context": {"item_id": "tea-03"},
}  # fmt: skip

WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/v1/interactions", _VIEW), ("POST", "/v1/interactions", _ORDER),
    *[("POST", f"/v1/interactions?source={source}", event) for source, event in _FOREIGN.items()],
    ("POST", "/v1/surveys", {"customer_id": "c3", "kind": "nps", "score": 3, "occurred_at": AT, "comment": "late"}),
    ("POST", "/v1/surveys/links", {"customer_id": "c3", "kind": "ces", "about": "o-1", "channel": "email", "days": 7}),
    ("POST", "/v1/customers/c3/merge", {"from": "f-session"}),
    ("PUT", "/v1/items", _ITEM), ("PUT", "/v1/customers", _CUSTOMER), ("PUT", "/v1/offers", _OFFER),
    ("PATCH", "/v1/items/tea-05", {"stock": 5, "categories": ["a"], "attributes": {"n": 1}}),
    ("PATCH", "/v1/customers/c3", {"segment": "tea", "consent": {"sms": False}}),
    ("PATCH", "/v1/offers/on-tea", {"items": ["tea-01"], "ends_at": "2099-01-01T00:00:00Z"}),
    ("POST", "/v1/recommendations", _QUESTION), ("POST", "/v1/recommendations", {**_QUESTION, "customer_id": None}),
    ("POST", "/v1/pages", {"customer_id": "c3", "blocks": [{"placement": "home", "limit": 3}, {"placement": "cart"}]}),
    ("POST", "/v1/rank", {"customer_id": "c3", "items": ["tea-01", "coffee-02", "nix"], "limit": 5}),
    ("POST", "/v1/batch/recommendations?limit=3", {"customer_id": "c3", "explore": 0.2}),
    ("DELETE", "/v1/items/f-item", None), ("DELETE", "/v1/offers/f-o", None),
]  # fmt: skip
READS = [
    "/v1/customers/c3/recommendations?placement=home&limit=5&exclude=tea-01,tea-02", "/v1/customers/c3/buy-again?limit=3",
    "/v1/customers/c3/offers?limit=2", "/v1/items/tea-05/similar?customer_id=c3&limit=4",
    "/v1/items/tea-05/bought-together?limit=4", "/v1/trending?window_days=28&category=tea&limit=3",
    "/v1/bestsellers?window_days=90", "/v1/new?category=coffee", "/v1/items?cursor=tea-05&limit=9", "/v1/customers?limit=3",
    "/v1/offers?limit=2", "/v1/items/tea-05", "/v1/customers/c3", "/v1/offers/on-tea", "/healthz", "/readyz", "/metrics",
    "/openapi.json", "/nowhere",
    "/v1/customers/c3/recommendations?offset=2&diversity=0.4&max_per=brand:2&min_relevance=0.1&explore=0.2&fields=title&locale=ro",
    "/v1/customers/c3/recommendations?category=tea&channel=web&filter=%7B%22price_cents%22%3A%7B%22lte%22%3A900%7D%7D",
    "/v1/items/tea-05/similar?exclude=tea-01&fields=title&filter=%7B%22brand%22%3A%7B%22in%22%3A%5B%22tea%22%5D%7D%7D",
]  # fmt: skip

# Values that broke a parser, a store or a reply somewhere.
NASTY: list[Any] = [
    None, True, False, 0, -1, 1.0, 1.5, -0.0, 2**31, 2**53, 2**63, -(2**63) - 1, 10**30, 10**400, 1e308, 5e-324, "", " ", "0",
    "a\x00b", "\x00", "\x1f", "\x7f", "\u0085", "\ufeff", "\ufffe", "a/b", "%2F", "..", ".", "x" * 257, "é" * 128, "é" * 129,
    "👩‍👩‍👧", "\u202eabc", "１２", "1e5", "NaN", "null", "' OR 1=1 --", "<script>", "${jndi:x}", "{{7*7}}", "2026-02-30T00:00:00Z",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00.123456789Z", "2026-01-01", -62135596801,
    253402300799, 253402300800, 1795168800.5, [], {}, [[]], [None], [{}], {"": ""}, {"a": None}, {"\x00": 1}, ["x"] * 60,
    {"items": [{"item_id": "x"}]}, {"__proto__": 1}, {"$ref": "#"}, "z" * 5000, [1, "1", 1.0, True],
]  # fmt: skip
RAW = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b"\xff\xfe{", b"[" * 300,
    b'{"a":' * 33 + b"1" + b"}" * 33, b'{"a":1,"a":2}', b"01", b"+1", b".5", b"'a'", b"{,}", b"[1,]", b"// x", b"\xef\xbb\xbf{}", b"0x10",
    b"1" * 5000, b'"\xed\xa0\x80"', b'"\xc0\xaf"', b"tru", b"", b"\x00", b'"\t"',
]  # fmt: skip
TYPES = [
    "application/json", "application/json", "application/json", "application/x-ndjson", "application/x-ndjson", "text/plain", "",
    "application/json; charset=utf-16", "application/JSON;charset=utf-8", "multipart/form-data; boundary=x", "application/json\t",
    "application/x-www-form-urlencoded", "application/xml", "application/json,application/json", "*/*", "é",
]  # fmt: skip
_PARTS = [
    "",
    "%00",
    "%ff",
    "%2F",
    "..",
    "%2E%2E",
    "%E2%80%AE",
    "x" * 300,
    "%F0%9F%98%80",
    "a%2Fb",
    "%",
    "%zz",
    "+",
    "tea-05",
    "%C2%85",
]


def make(rng: random.Random) -> Request:
    """Return one request, wrong in one or several ways."""
    if rng.random() < 0.2:
        return "GET", _bent(rng, rng.choice(READS)), rng.choice([b"", b"x"]), _headers(rng, "")
    method, path, valid = rng.choice(WRITES)
    body = _body(rng, copy.deepcopy(valid))
    kind = rng.choice(TYPES) if rng.random() < 0.2 else "application/json"
    if rng.random() < 0.15 and valid is not None:
        body, kind = _lines(rng, valid), "application/x-ndjson"
    if rng.random() < 0.1:
        path = _bent(rng, path)
    return method, path, body, _headers(rng, kind)


def _body(rng: random.Random, value: Any) -> bytes:
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        value = _changed(rng, value)
    if rng.random() < 0.15:
        value = [value, rng.choice(NASTY), copy.deepcopy(value)]
    data = json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    return rng.choice(_BYTES)(rng, data) if rng.random() < 0.35 else data


def _changed(rng: random.Random, value: Any) -> Any:
    """Return the value with one place in it replaced, removed, renamed, added to or wrapped."""
    if not isinstance(value, (dict, list)) or not value or rng.random() < 0.05:
        return copy.deepcopy(rng.choice(NASTY))
    places = list(value) if isinstance(value, dict) else list(range(len(value)))
    place = rng.choice(places)
    act = rng.randrange(6)
    if isinstance(value[place], (dict, list)) and value[place] and rng.random() < 0.5:
        value[place] = _changed(rng, value[place])
    elif act == 0 and isinstance(value, dict):
        del value[place]
    elif act == 1 and isinstance(value, dict):
        value[rng.choice(["", "colour", "\x00", "items", "é", "kind", "_", "x" * 300])] = copy.deepcopy(
            rng.choice(NASTY)
        )
    elif act == 2:
        value[place] = rng.choice([[value[place]], {"value": value[place]}, str(value[place])])
    elif act == 3:
        value[place] = _nested(rng, rng.choice([2, 31, 32, 40]))
    else:
        value[place] = copy.deepcopy(rng.choice(NASTY))
    return value


def _nested(rng: random.Random, deep: int) -> Any:
    value: Any = 1
    for _ in range(deep):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value


def _spliced(rng: random.Random, data: bytes) -> bytes:
    """Put something raw where a value was."""
    colons = [n for n, byte in enumerate(data) if byte == ord(":")]
    if not colons:
        return rng.choice(RAW)
    at = rng.choice(colons) + 1
    end = min([n for n in (data.find(b",", at), data.find(b"}", at)) if n >= 0], default=len(data))
    return data[:at] + rng.choice(RAW) + data[end:]


def _flipped(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if out:
            out[rng.randrange(len(out))] = rng.randrange(256)
    return bytes(out)


_BYTES: list[Callable[[random.Random, bytes], bytes]] = [
    _spliced, _spliced, _flipped,
    lambda rng, data: data[: rng.randint(0, len(data))],
    lambda rng, data: rng.choice(RAW),
    lambda rng, data: data + rng.choice(RAW),
    lambda rng, data: data.decode("utf-8", "replace").encode("utf-16"),
    lambda rng, data: data.decode("utf-8", "replace").encode("latin-1", "replace"),
    lambda rng, data: gzip.compress(data)[: rng.randint(1, 60)],
    lambda rng, data: b"\xef\xbb\xbf" + data,
    lambda rng, data: b"[" * 100_000 if rng.random() < 0.02 else b"[" * 500,
    lambda rng, data: data[:1] + b'"kind":1,' + data[1:] + data,
    lambda rng, data: b" " * (2**20) + data if rng.random() < 0.02 else b" \r\n\t" + data,
]  # fmt: skip


def _lines(rng: random.Random, valid: Any) -> bytes:
    rows = [_body(rng, copy.deepcopy(valid)).replace(b"\n", b" ") for _ in range(rng.randint(1, 6))]
    return rng.choice([b"\n", b"\r\n", b"\n\n", b"\r", b"\x00\n", b"\xe2\x80\xa8"]).join(rows) + rng.choice(
        [b"", b"\n", b"{"]
    )


def _bent(rng: random.Random, path: str) -> str:
    route, _, query = path.partition("?")
    parts, pairs = route.split("/"), query.split("&") if query else []
    if rng.random() < 0.5:
        parts[rng.randrange(1, len(parts))] = rng.choice(_PARTS)
    if rng.random() < 0.6:
        name = rng.choice([pair.partition("=")[0] for pair in pairs] or ["limit", "source", "x"])
        text = rng.choice(NASTY)
        value = text if isinstance(text, str) else json.dumps(text)
        pairs.append(f"{name}={quote(value, safe='', errors='replace')[:2000]}")
        rng.shuffle(pairs)
        pairs = pairs[rng.randint(0, 1) :]
    if rng.random() < 0.1:
        pairs.append(rng.choice(["%ff=1", "=", "&&", "limit", "a" * 3000, "%00=%00", "limit=%"]))
    return "/".join(parts) + ("?" + "&".join(pairs) if pairs else "")


def _headers(rng: random.Random, kind: str) -> dict[str, str]:
    found = {"Content-Type": kind} if kind else {}
    if rng.random() < 0.1:
        found["Idempotency-Key"] = rng.choice(["k", "k2", "", "x" * 300, "a b", "é", "."])
    if rng.random() < 0.03:
        found["Content-Encoding"] = rng.choice(["gzip", "br", "x"])
    if rng.random() < 0.03:
        found["If-None-Match"] = rng.choice(["*", '"', 'W/"x"', "é"])
    return found
