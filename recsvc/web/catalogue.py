"""The catalogue over HTTP: items, customers and offers, in bulk and one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response
from pydantic import BaseModel

from recsvc.errors import Conflict, InvalidRequest
from recsvc.flows import catalogue
from recsvc.flows.interactions import Receipt as Outcome
from recsvc.strict_json import read_json
from recsvc.web.bulk import replay, take
from recsvc.web.contract import Route, body_bytes, read_query, validated
from recsvc.web.lists import shop
from recsvc.web.offer_schemas import OfferBody, OfferRow, OffersPage
from recsvc.web.outputs import CustomerOut, CustomersPage, ItemRow, ItemsPage, Receipt
from recsvc.web.schemas import CustomerBody, ItemBody, Nothing, PageQuery

KEYS = catalogue.KEYS
_SPANS = {end: (start, end) for start, end in (("starts_at", "ends_at"), ("available_from", "available_to"))}
BODIES: dict[str, type[BaseModel]] = {"items": ItemBody, "customers": CustomerBody, "offers": OfferBody}


def _put(noun: str) -> Callable[[], Response]:
    def check(value: Any) -> list[dict[str, Any]]:
        return [_row(noun, value)]

    def view() -> Response:
        read_query(Nothing)
        return take(check, lambda rows, refused, once: catalogue.put(shop(), noun, rows, refused, once))

    return view


def _page(noun: str) -> Callable[[], Response]:
    def view() -> Response:
        query = read_query(PageQuery)
        return _reply(catalogue.page(shop(), noun, query.cursor, query.limit))

    return view


def _get(noun: str) -> Callable[..., Response]:
    def view(**ids: str) -> Response:
        read_query(Nothing)
        return _reply(catalogue.get(shop(), noun, *ids.values()))

    return view


def _patch(noun: str) -> Callable[..., Response]:
    def view(**ids: str) -> Response:
        read_query(Nothing)
        (row_id,) = ids.values()
        data = body_bytes()
        change = read_json(data)
        if not isinstance(change, dict):
            raise InvalidRequest("body: must be a JSON object")
        key = KEYS[noun]
        if change.get(key, row_id) != row_id:
            raise InvalidRequest(f"{key}: is another than in the path", {key: "is another than in the path"})

        def check(before: dict[str, Any]) -> dict[str, Any]:
            row = _checked(noun, {**_given(before), **change})
            end = _backwards(row)
            if end and not set(_SPANS[end]) <= change.keys():
                raise Conflict(f"{end}: is not after the start that is stored", {end: "is not after the start"})
            return _ordered(row)

        return _reply(catalogue.patch(shop(), noun, row_id, check, replay(data)))

    return view


def _delete(noun: str) -> Callable[..., Response]:
    def view(**ids: str) -> Response:
        read_query(Nothing)
        (row_id,) = ids.values()
        return _reply(catalogue.delete(shop(), noun, row_id, replay(b"")))

    return view


def _row(noun: str, value: Any) -> dict[str, Any]:
    """Return the fields of one row, defaults filled in.

    Raises:
        InvalidRequest: names the field.
    """
    return _ordered(_checked(noun, value))


def _checked(noun: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest("body: must be a JSON object")
    return validated(BODIES[noun], value).model_dump()


def _ordered(row: dict[str, Any]) -> dict[str, Any]:
    end = _backwards(row)
    if end:
        raise InvalidRequest(f"{end}: must be after {_SPANS[end][0]}", {end: f"must be after {_SPANS[end][0]}"})
    return row


def _backwards(row: dict[str, Any]) -> str | None:
    """Return the name of an end that is not after its start."""
    for end, (start, _) in _SPANS.items():
        if row.get(start) is not None and row.get(end) is not None and row[end] <= row[start]:
            return end
    return None


def _given(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def _reply(value: dict[str, Any] | Outcome) -> Response:
    out = Response(catalogue.encode(value), content_type="application/json")
    out.headers["Cache-Control"] = "private, no-cache"
    return out


def _routes() -> list[Route]:
    rows: dict[str, type[BaseModel]] = {"items": ItemRow, "customers": CustomerOut, "offers": OfferRow}
    pages: dict[str, type[BaseModel]] = {"items": ItemsPage, "customers": CustomersPage, "offers": OffersPage}
    found = []
    for noun, key in KEYS.items():
        one, body = f"/v1/{noun}/{{{key}}}", BODIES[noun]
        found += [
            Route("PUT", f"/v1/{noun}", f"Write {noun} whole", _put(noun), scope="catalog", body=body,
                  reply=Receipt, many=True),
            Route("GET", f"/v1/{noun}", f"List {noun} in order of id", _page(noun), scope="catalog", query=PageQuery,
                  reply=pages[noun]),
            Route("GET", one, f"Look at one of the {noun}", _get(noun), scope="catalog", reply=rows[noun]),
            Route("PATCH", one, f"Change some fields of one of the {noun}", _patch(noun), scope="catalog", patch=True,
                  body=body, reply=rows[noun]),
        ]  # fmt: skip
        if noun != "customers":
            title = f"Take one of the {noun} away"
            found.append(Route("DELETE", one, title, _delete(noun), scope="catalog", reply=Receipt))
    return found


ROUTES = _routes()
