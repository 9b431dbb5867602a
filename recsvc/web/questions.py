"""What may be asked of a list, as pydantic models: once as a query string, once as a body."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from recsvc import intake
from recsvc.flows.questions import CAPPED, SHOWN, Question
from recsvc.web.schemas import _INTEGRAL, Channel, Id, In, Limit, Placement, Text, _whole, _whole_schema

_NUMBER: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,330})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_CAP: Final = re.compile(rf"({'|'.join(CAPPED)}):([1-9][0-9]?|100)", re.ASCII)
_LAST: Final = 900


def _part(value: object) -> float:
    """Return a number from 0 to 1, of a query string or of JSON."""
    number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        number = float(value)
    if number is None or not 0.0 <= number <= 1.0:
        raise ValueError(f"{intake.shorten(str(value))}, must be a number from 0 to 1")
    return number


def _cap(value: object) -> str:
    if not isinstance(value, str) or not _CAP.fullmatch(value):
        raise ValueError(f"{intake.shorten(str(value))}, must be brand or category, a colon and 1 to 100, as brand:2")
    return value


def _names(value: object) -> str:
    """Return the names of fields, separated by commas."""
    wrong = [one for one in str(value).split(",") if one not in SHOWN]
    if wrong or not isinstance(value, str):
        raise ValueError(f"{intake.shorten(wrong[0] if wrong else str(value))}, must be of {', '.join(SHOWN)}")
    return value


def _part_schema(description: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1, "description": description})


_NAME: Final = f"({'|'.join(SHOWN)})"
Cap = Annotated[
    str, BeforeValidator(_cap),
    WithJsonSchema({"type": "string", "pattern": rf"^({'|'.join(CAPPED)}):([1-9][0-9]?|100)$",
                    "description": "At most so many of one brand, or of one narrowest category: brand:2."}),
]  # fmt: skip
FieldNames = Annotated[
    str, BeforeValidator(_names), WithJsonSchema({"type": "string", "pattern": f"^{_NAME}(,{_NAME})*$"})
]
Category = Annotated[Text, Field(min_length=1)]
Locale = Annotated[
    str, Field(pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,4}$"),
    Field(description="The language of the reasons, as pt or pt-BR; English for what is not spoken here."),
]  # fmt: skip
Offset = Annotated[int, _whole(0, _LAST), _whole_schema(0, _LAST, "How many of the first items to pass over.")]
Diversity = Annotated[
    float,
    BeforeValidator(_part),
    _part_schema("How much unlike each other the items are to be; 0 leaves the order as it is."),
]
Relevance = Annotated[
    float, BeforeValidator(_part), _part_schema("Leave out what scores below this part of the best of the list.")
]
Explore = Annotated[float, BeforeValidator(_part), _part_schema("The share of slots that is filled by chance.")]


class Asked(In):
    """What every question may hold, however it is sent."""

    placement: Placement = "home"
    diversity: Diversity = 0.0
    min_relevance: Relevance = 0.0
    explore: Explore = 0.0
    locale: Locale | None = None
    channel: Channel | None = None


class RecommendationsQuery(Asked):
    """Parameters of recommendations."""

    limit: Limit = 10
    offset: Offset = 0
    exclude: tuple[Id, ...] = Field((), description="Item ids to leave out; repeat it, or separate by commas.")
    category: tuple[Category, ...] = Field((), description="Only items of this category; repeat it for any of several.")
    fields: tuple[FieldNames, ...] = Field(
        (), description="What to tell of each item; repeat it, or separate by commas."
    )
    max_per: tuple[Cap, ...] = ()


class RecommendationsBody(Asked):
    """A question as an object."""

    limit: Annotated[int, Field(ge=1, le=100), _INTEGRAL] = 10
    offset: Annotated[int, Field(ge=0, le=_LAST), _INTEGRAL] = 0
    exclude: list[Id] = Field([], max_length=1000)
    category: list[Category] = Field([], max_length=100)
    fields: list[FieldNames] = Field([], max_length=100)
    max_per: list[Cap] = Field([], max_length=100)


def question(asked: RecommendationsQuery | RecommendationsBody, exclude: tuple[str, ...]) -> Question:
    """Return what was asked, as the flows take it."""
    caps = [one.split(":") for one in asked.max_per]
    return Question(
        placement=asked.placement,
        limit=asked.limit,
        offset=asked.offset,
        exclude=exclude,
        category=tuple(asked.category),
        fields=tuple(dict.fromkeys(name for names in asked.fields for name in names.split(","))),
        diversity=asked.diversity,
        max_per=tuple((trait, int(most)) for trait, most in caps),
        min_relevance=asked.min_relevance,
        explore=asked.explore,
        locale=asked.locale,
        channel=asked.channel,
    )
