"""`recsvc smoke`: ask a running service every endpoint once and check the answers."""

from __future__ import annotations

import functools
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console

_POLL_SECONDS = 1.0
console = Console(highlight=False)


def smoke(
    url: Annotated[str, typer.Argument(help="Where the service is, as http://127.0.0.1:8000.")],
    key: Annotated[str, typer.Option(envvar="RECSVC_KEY", help="An API key.")],
) -> None:
    """Ask every endpoint once, check the answers, exit 0 or 1. Leaves a customer `smoke-…` with one view."""
    sys.exit(check(url.rstrip("/"), key))


def check(url: str, key: str) -> int:
    """Return 0 when every answer is as it must be, else 1; prints one line each."""
    asked = Asked(url, key)
    customer = f"smoke-{uuid.uuid4().hex[:8]}"
    item = _lists(asked, customer)
    _asked_for(asked, customer, item)
    _writes(asked, customer)
    _catalogue(asked, customer)
    _claims(asked, customer)
    _merchandising(asked, customer)
    _models(asked)
    ask = asked.ask
    ask("GET", "/healthz", "/healthz", lambda v: v["status"] == "ok")
    ask("GET", "/readyz", "/readyz", lambda v: v["status"] == "ready")
    ask("GET", "/metrics", "/metrics", lambda v: "recsvc_requests_total" in v)
    document = ask("GET", "/openapi.json", "/openapi.json", lambda v: v["openapi"].startswith("3.1"))
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    for method, path in sorted(described - asked.routes):
        asked.failures += 1
        console.print(f"FAIL {method} {path} was not asked", markup=False)
    console.print(f"{len(asked.routes)} endpoints, {asked.failures} failures")
    return 1 if asked.failures else 0


class Asked:
    """What was asked of a service so far, and how often the answer was wrong."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self.routes: set[tuple[str, str]] = set()
        self.failures = 0

    def ask(
        self, method: str, path: str, template: str, wanted: Callable[[Any], bool], body: Any = None, status: int = 200
    ) -> Any:
        """Ask, print one line, and return the answer, which must come with `status`."""
        self.routes.add((method, template))
        found, value = _fetch(method, self._url + path, self._key, body)
        good = found == status and bool(wanted(value))
        self.failures += not good
        console.print(f"{'ok  ' if good else 'FAIL'} {method} {template} {found}", markup=False)
        return value


def _lists(asked: Asked, customer: str) -> str:
    """Ask for the lists and return an item that sells."""
    ask, one, mine = asked.ask, "/v1/customers/{customer_id}", f"/v1/customers/{customer}"
    best = ask("GET", "/v1/bestsellers", "/v1/bestsellers", _has_items)
    item = best["items"][0]["item_id"] if _has_items(best) else "none"
    around = f"/v1/items/{quote(item, safe='')}"
    ask("GET", f"{mine}/recommendations", f"{one}/recommendations", lambda v: _has_items(v) and v["fallback"])
    view = {"customer_id": customer, "kind": "view", "item_id": item}
    ask("POST", "/v1/interactions", "/v1/interactions", lambda v: v["accepted"] == 1, view)
    ask("GET", f"{mine}/recommendations", f"{one}/recommendations", lambda v: _has_items(v) and v["source"] == "live")
    ask("GET", f"{mine}/buy-again", f"{one}/buy-again", lambda v: v["items"] == [])
    ask("GET", f"{mine}/timing", f"{one}/timing", lambda v: v["customer_id"] == customer)
    ask("GET", f"{mine}/offers", f"{one}/offers", lambda v: isinstance(v["offers"], list))
    ask("GET", f"{around}/similar", "/v1/items/{item_id}/similar", _has_items)
    ask("GET", f"{around}/bought-together", "/v1/items/{item_id}/bought-together", _has_items)
    ask("GET", "/v1/trending", "/v1/trending", _has_items)
    ask("GET", "/v1/new?window_days=365", "/v1/new", _has_items)
    return str(item)


def _asked_for(asked: Asked, customer: str, item: str) -> None:
    """Ask what takes a body, and why."""
    ask = asked.ask
    ask("POST", "/v1/recommendations", "/v1/recommendations", _has_items, {"items": [item]})
    page = {"customer_id": customer, "blocks": [{"limit": 3}, {"placement": "cart", "limit": 3}]}
    ask("POST", "/v1/pages", "/v1/pages", lambda v: all(map(_has_items, v["blocks"])), page)
    ranked = {"customer_id": customer, "items": [item]}
    ask("POST", "/v1/rank", "/v1/rank", lambda v: v["items"][0]["item_id"] == item, ranked)
    batch = "/v1/batch/recommendations"
    ask("POST", batch, batch, lambda v: _has_items(json.loads(v)), [customer])
    why = f"/v1/explain?customer_id={customer}&item_id={quote(item, safe='')}"
    ask("GET", why, "/v1/explain", lambda v: v["item_id"] == item)
    karma = f"/v1/items/{quote(item, safe='')}/karma"
    ask("GET", karma, "/v1/items/{item_id}/karma", lambda v: v["item_id"] == item)
    karma = f"/v1/customers/{customer}/karma"
    ask("GET", karma, "/v1/customers/{customer_id}/karma", lambda v: v["karma"] == 0)


def _writes(asked: Asked, customer: str) -> None:
    answer = {"customer_id": customer, "kind": "nps", "score": 9}
    asked.ask("POST", "/v1/surveys", "/v1/surveys", lambda v: v["accepted"] == 1, answer)
    to_ask = {"customer_id": customer, "kind": "nps", "days": 1}
    link = asked.ask("POST", "/v1/surveys/links", "/v1/surveys/links", lambda v: v["path"].startswith("/s/"), to_ask)
    page = link.get("path", "/s/none")
    asked.ask("GET", page, "/s/{token}", lambda v: "<form" in v)
    asked.ask("POST", page, "/s/{token}", lambda _: True, {}, status=400)  # no form, so nothing is stored
    path, template = f"/v1/customers/{customer}/merge", "/v1/customers/{customer_id}/merge"
    asked.ask("POST", path, template, lambda v: v["merged"] == 0, {"from": f"{customer}-session"})


def _catalogue(asked: Asked, name: str) -> None:
    """Write, look at, change and take away an inactive item and offer; the customer stays, with its one view."""
    ask = asked.ask
    rows: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
        "items": ("item_id", {"title": "smoke", "active": False}, {"price_cents": 1}),
        "customers": ("customer_id", {}, {"tier": "smoke"}),
        "offers": ("offer_id", {"name": "smoke", "kind": "content", "active": False}, {"benefit": "smoke"}),
    }
    for noun, (key, fields, change) in rows.items():
        path, template = f"/v1/{noun}/{name}", f"/v1/{noun}/{{{key}}}"
        ask("PUT", f"/v1/{noun}", f"/v1/{noun}", lambda v: v["accepted"] == 1, {key: name, **fields})
        ask("GET", path, template, functools.partial(_holds, {key: name}))
        ask("PATCH", path, template, functools.partial(_holds, change), change)
        ask("GET", f"/v1/{noun}?limit=1", f"/v1/{noun}", lambda v: "cursor" in v)
        if noun != "customers":
            ask("DELETE", path, template, lambda v: v["accepted"] == 1)


def _claims(asked: Asked, name: str) -> None:
    """Offer something to the one customer, let them claim it, give it back, and redeem it; the offer is taken away."""
    ask, mine = asked.ask, f"/v1/customers/{name}/offers"
    for_them = {"field": "customer.tier", "op": "eq", "value": "smoke"}
    offer = {"offer_id": name, "name": "smoke", "kind": "service", "capacity": 1, "priority": 1000}
    offer["eligibility"] = for_them
    ask("PUT", "/v1/offers", "/v1/offers", lambda v: v["accepted"] == 1, offer)
    time.sleep(_POLL_SECONDS)  # another worker than the one that took it may be asked next

    def offered(value: Any) -> bool:
        return name in [one["offer_id"] for one in value["offers"]]

    many = "/v1/customers/{customer_id}/offers"
    ask("GET", f"{mine}?limit=100", many, offered)
    ask("POST", mine, many, offered, {"limit": 100, "dry_run": True})
    ask("POST", "/v1/batch/offers?limit=100", "/v1/batch/offers", lambda v: offered(json.loads(v)), [name])
    why = f"/v1/explain?customer_id={name}&offer_id={name}"
    ask("GET", why, "/v1/explain", lambda v: v["offer_id"] == name and not v["absent"])
    for verb, state in (("release", "released"), ("redeem", "redeemed")):
        path, template = f"/v1/offers/{name}/claims", "/v1/offers/{offer_id}/claims"
        claim = ask("POST", path, template, functools.partial(_holds, {"state": "reserved"}), {"customer_id": name})
        path, template = f"/v1/claims/{claim.get('claim_id')}/{verb}", f"/v1/claims/{{claim_id}}/{verb}"
        ask("POST", path, template, functools.partial(_holds, {"state": state}), {})
    ask("DELETE", f"/v1/offers/{name}", "/v1/offers/{offer_id}", lambda v: v["accepted"] == 1)


def _merchandising(asked: Asked, name: str) -> None:
    """Write, look at and take away a placement and a rule for it, which change no list but its own."""
    ask = asked.ask
    bury = {"placement": name, "action": "bury", "match": {"item_id": {"eq": name}}, "factor": 0.5}
    rows: tuple[tuple[str, str, dict[str, Any]], ...] = (("placements", "placement_id", {}), ("rules", "rule_id", bury))
    for noun, key, body in rows:
        path, template = f"/v1/{noun}/{name}", f"/v1/{noun}/{{{key}}}"
        ask("PUT", path, template, functools.partial(_holds, {key: name}), body)
        ask("GET", path, template, functools.partial(_holds, {key: name}))
        ask("GET", f"/v1/{noun}", f"/v1/{noun}", lambda v: bool(v[noun]))  # noqa: B023 asked at once
    for noun, key, _ in reversed(rows):
        ask("DELETE", f"/v1/{noun}/{name}", f"/v1/{noun}/{{{key}}}", lambda v: v["accepted"] == 1)


def _models(asked: Asked) -> None:
    """Look, and ask for a model that does not exist: any other would change what is in use."""
    asked.ask("GET", "/v1/models", "/v1/models", lambda v: v["models"] and v["in_use"])
    asked.ask("POST", "/v1/models/none/use", "/v1/models/{version}/use", lambda _: True, status=404)


def _holds(wanted: dict[str, Any], value: Any) -> bool:
    return bool(wanted.items() <= value.items())


def _has_items(value: Any) -> bool:
    items = value["items"]
    ids = [one["item_id"] for one in items]
    return bool(ids) and len(set(ids)) == len(ids) and all(one["reasons"] for one in items)


def _fetch(method: str, url: str, key: str, body: Any) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 the caller's own service
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
            text, kind = reply.read().decode(), reply.headers.get_content_type()
            return reply.status, json.loads(text) if kind == "application/json" else text
    except urllib.error.HTTPError as error:
        return error.code, {"items": [], "paths": {}}
    except OSError as error:
        console.print(f"{url}: {error}", markup=False)
        return 0, {"items": [], "paths": {}}
