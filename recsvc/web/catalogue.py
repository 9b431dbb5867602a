"""The catalogue over HTTP: items, customers and offers, in bulk and one by one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Response
from pydantic import BaseModel

from recsvc.errors import InvalidRequest
from recsvc.flows import catalogue
from recsvc.intake import read_json
from recsvc.web.bulk import take
from recsvc.web.contract import Route, body_bytes, read_query, validated
from recsvc.web.lists import shop
from recsvc.web.outputs import CustomerOut, CustomersPage, ItemRow, ItemsPage, OfferRow, OffersPage, Receipt
from recsvc.web.schemas import CustomerBody, ItemBody, Nothing, OfferBody, PageQuery

BODIES: dict[str, type[BaseModel]] = {"items": ItemBody, "customers": CustomerBody, "offers": OfferBody}


def _put(noun: str) -> Callable[[], Response]:
    def check(value: Any) -> list[dict[str, Any]]:
        return [_row(noun, value)]

    def view() -> Response:
        read_query(Nothing)
        return take(check, lambda rows, refused, replay: catalogue.put(shop(), noun, rows, refused, replay))

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
        change = read_json(body_bytes())
        if not isinstance(change, dict):
            raise InvalidRequest("body: must be a JSON object")
        key = catalogue.KEYS[noun]
        if change.get(key, row_id) != row_id:
            raise InvalidRequest(f"{key}: is another than in the path", {key: "is another than in the path"})
        return _reply(catalogue.patch(shop(), noun, row_id, lambda before: _row(noun, {**_given(before), **change})))

    return view


def _delete(noun: str) -> Callable[..., Response]:
    def view(**ids: str) -> Response:
        read_query(Nothing)
        catalogue.delete(shop(), noun, *ids.values())
        return _reply({"accepted": 1, "duplicates": 0, "rejected": []})

    return view


def _row(noun: str, value: Any) -> dict[str, Any]:
    """Return the fields of one row, defaults filled in.

    Raises:
        InvalidRequest: names the field.
    """
    if not isinstance(value, dict):
        raise InvalidRequest("body: must be a JSON object")
    row = validated(BODIES[noun], value).model_dump()
    for start, end in (("starts_at", "ends_at"), ("available_from", "available_to")):
        if row.get(start) is not None and row.get(end) is not None and row[end] <= row[start]:
            raise InvalidRequest(f"{end}: must be after {start}", {end: f"must be after {start}"})
    if noun == "items" and row["created_at"] is None:
        row["created_at"] = datetime.now(UTC)
    return row


def _given(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def _reply(value: dict[str, Any]) -> Response:
    out = Response(catalogue.encode(value), content_type="application/json")
    out.headers["Cache-Control"] = "private, no-cache"
    return out


def _routes() -> list[Route]:
    rows: dict[str, type[BaseModel]] = {"items": ItemRow, "customers": CustomerOut, "offers": OfferRow}
    pages: dict[str, type[BaseModel]] = {"items": ItemsPage, "customers": CustomersPage, "offers": OffersPage}
    found = []
    for noun, key in catalogue.KEYS.items():
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
