"""Rules and placements over HTTP: put, look, list and take away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from recsvc.errors import InvalidRequest
from recsvc.flows import catalogue, rules
from recsvc.flows.questions import SHOWN
from recsvc.strict_json import read_json
from recsvc.web.bulk import replay
from recsvc.web.contract import Route, body_bytes, read_query, validated
from recsvc.web.filters import FilterIn
from recsvc.web.lists import shop
from recsvc.web.outputs import Out, Receipt
from recsvc.web.questions import Cap
from recsvc.web.schemas import _INTEGRAL, AnyMoment, Id, In, Nothing, _one_of, _one_of_schema

ACTIONS: Final = ("pin", "boost", "bury", "exclude", "include")
# action → what it needs beside its match: the field, and the JSON Schema of it.
_NEEDS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "pin": ("slot", {"type": "integer"}), "boost": ("factor", {"type": "number", "exclusiveMinimum": 1}),
    "bury": ("factor", {"type": "number", "exclusiveMaximum": 1}),
}  # fmt: skip


def _describe(schema: dict[str, Any]) -> None:
    """Say in the schema what each action needs, and that it takes nothing else."""
    nothing: dict[str, Any] = {name: {"type": "null"} for name in ("slot", "factor")}
    schema["oneOf"] = [
        {"properties": {"action": {"const": action}, **nothing, **dict([_NEEDS[action]] if action in _NEEDS else [])},
         "required": [_NEEDS[action][0]] if action in _NEEDS else []}
        for action in ACTIONS
    ]  # fmt: skip


class RuleBody(In):
    """A rule, whole. `pin` needs a `slot`, `boost` a `factor` above 1, `bury` one below 1. Without a placement it holds
    in every one."""

    model_config = ConfigDict(json_schema_extra=_describe)
    rule_id: Id | None = Field(None, description="As in the path.")
    placement: Id | None = None
    action: Annotated[str, _one_of(ACTIONS), _one_of_schema(ACTIONS, "What it does with the items.")]
    match: FilterIn = Field(description="Which items it is about; an empty filter is all of them.")
    factor: Annotated[float, Field(ge=0.001, le=1000, strict=False)] | None = Field(
        None, description="What scores are multiplied by."
    )
    slot: Annotated[int, Field(ge=1, le=100), _INTEGRAL] | None = None
    starts_at: AnyMoment | None = None
    ends_at: AnyMoment | None = Field(None, description="The moment itself is over.")
    priority: Annotated[int, Field(ge=-1000, le=1000), _INTEGRAL] = 0


Part = Annotated[float, Field(ge=0, le=1, strict=False)]
FieldName = Annotated[str, _one_of(SHOWN), _one_of_schema(SHOWN, "A field of an item.")]


class PlacementBody(In):
    """The settings of a placement, whole. A question that says something itself goes before them; `filters` hold beside
    its own."""

    placement_id: Id | None = Field(None, description="As in the path.")
    filters: FilterIn = Field({}, description="What lists of this placement may hold; an empty filter is everything.")
    diversity: Part | None = None
    max_per: list[Cap] = Field([], max_length=10)
    min_relevance: Part | None = None
    fields: list[FieldName] = Field([], max_length=20, description="What to tell of each item; all when empty.")
    cache_seconds: Annotated[int, Field(ge=0, le=86_400), _INTEGRAL] | None = Field(
        None, description="How long a list may be kept; 0 for not at all, null for the service's own setting."
    )
    shared: bool = Field(False, description="Others may look on. Nothing sensitive is on such a list, as on no other.")


class RuleRow(Out):
    """A rule as it is stored."""

    rule_id: str
    placement: str | None
    action: Literal["pin", "boost", "bury", "exclude", "include"]
    match: dict[str, Any]
    factor: float | None
    slot: int | None
    starts_at: datetime | None
    ends_at: datetime | None
    priority: int


class PlacementRow(Out):
    """The settings of a placement as they are stored."""

    placement_id: str
    filters: dict[str, Any]
    diversity: float | None
    max_per: list[str]
    min_relevance: float | None
    fields: list[str]
    cache_seconds: int | None
    shared: bool


class RulesPage(Out):
    """All rules in order of id."""

    rules: list[RuleRow]


class PlacementsPage(Out):
    """The settings of all placements in order of id."""

    placements: list[PlacementRow]


BODIES: Final[dict[str, type[BaseModel]]] = {"rules": RuleBody, "placements": PlacementBody}


def _put(noun: str) -> Callable[..., Response]:
    def view(**ids: str) -> Response:
        read_query(Nothing)
        ((key, row_id),) = ids.items()
        data = body_bytes()
        value = read_json(data)
        if not isinstance(value, dict):
            raise InvalidRequest("body: must be a JSON object")
        row = validated(BODIES[noun], value).model_dump()
        if row[key] not in {None, row_id}:
            raise InvalidRequest(f"{key}: is another than in the path", {key: "is another than in the path"})
        _consistent(row)
        return _reply(rules.put(shop(), noun, {**row, key: row_id}, replay(data)))

    return view


def _consistent(row: dict[str, Any]) -> None:
    """Look whether the fields of a row go together.

    Raises:
        InvalidRequest: names the field that does not.
    """
    if row.get("starts_at") and row.get("ends_at") and row["ends_at"] <= row["starts_at"]:
        raise _wrong("ends_at", "must be after starts_at")
    action = row.get("action")
    needed = _NEEDS[action][0] if action in _NEEDS else None
    for name in ("slot", "factor") if action else ():
        if name == needed and row[name] is None:
            raise _wrong(name, f"is missing, {action} needs one")
        if name != needed and row[name] is not None:
            raise _wrong(name, f"must be left out, {action} has none")
    if (action == "boost" and row["factor"] <= 1) or (action == "bury" and row["factor"] >= 1):
        raise _wrong("factor", f"{row['factor']:g}, must be {'above' if action == 'boost' else 'below'} 1 to {action}")


def _wrong(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{name}: {why}", {name: why})


def _get(noun: str) -> Callable[..., Response]:
    def view(**ids: str) -> Response:
        read_query(Nothing)
        return _reply(rules.get(shop(), noun, *ids.values()))

    return view


def _page(noun: str) -> Callable[[], Response]:
    def view() -> Response:
        read_query(Nothing)
        return _reply(rules.page(shop(), noun))

    return view


def _delete(noun: str) -> Callable[..., Response]:
    def view(**ids: str) -> Response:
        read_query(Nothing)
        (row_id,) = ids.values()
        return _reply(rules.delete(shop(), noun, row_id, replay(b"")))

    return view


def _reply(value: Any) -> Response:
    out = Response(catalogue.encode(value), content_type="application/json")
    out.headers["Cache-Control"] = "private, no-cache"
    return out


def _routes() -> list[Route]:
    found = []
    for noun, row, page, what in (
        ("rules", RuleRow, RulesPage, "a rule"), ("placements", PlacementRow, PlacementsPage, "a placement"),
    ):  # fmt: skip
        one = f"/v1/{noun}/{{{rules.KEYS[noun]}}}"
        found += [
            Route("PUT", one, f"Write {what} whole", _put(noun), scope="catalog", body=BODIES[noun], reply=row),
            Route("GET", one, f"Look at {what}", _get(noun), scope="catalog", reply=row),
            Route("DELETE", one, f"Take {what} away", _delete(noun), scope="catalog", reply=Receipt),
            Route("GET", f"/v1/{noun}", f"List all {noun} in order of id", _page(noun), scope="catalog", reply=page),
        ]
    return found


ROUTES = _routes()
