"""What may be asked of a list, as pydantic models: once as a query string, once as a body."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from recsvc import intake
from recsvc.flows.customers import Event
from recsvc.flows.questions import CAPPED, ROTATION_SECONDS, SHOWN, Question, either, read
from recsvc.web.filters import FilterOrNone
from recsvc.web.schemas import (
    _INTEGRAL,
    Channel,
    Id,
    In,
    InteractionBody,
    Limit,
    Text,
    _whole,
    _whole_schema,
)

_NUMBER: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,330})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_CAP: Final = re.compile(rf"({'|'.join(CAPPED)}):([1-9][0-9]?|100)", re.ASCII)
LAST: Final = 900
_LONGEST_ROTATION: Final = 30 * 86400


def _part(text: str) -> float:
    """Return a number from 0 to 1 of a query string."""
    number = float(text) if _NUMBER.fullmatch(text) else -1.0
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{intake.shorten(text)}, must be a number from 0 to 1")
    return number


def _truth(text: str) -> bool:
    """Return a boolean of a query string."""
    if text not in {"true", "false"}:
        raise ValueError(f"{intake.shorten(text)}, must be true or false")
    return text == "true"


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
Offset = Annotated[int, _whole(0, LAST), _whole_schema(0, LAST, "How many of the first items to pass over.")]
Diversity = Annotated[
    float,
    BeforeValidator(_part),
    _part_schema("How much unlike each other the items are to be; 0 leaves the order as it is."),
]
Relevance = Annotated[
    float, BeforeValidator(_part), _part_schema("Leave out what scores below this part of the best of the list.")
]
Explore = Annotated[float, BeforeValidator(_part), _part_schema("The share of slots that is filled by chance.")]
Rotation = Annotated[
    float, BeforeValidator(_part),
    _part_schema("How far items shown on this channel lately stand back; 1: they do not come again within the time."),
]  # fmt: skip
RotationSeconds = Annotated[
    int, _whole(1, _LONGEST_ROTATION),
    _whole_schema(1, _LONGEST_ROTATION, "How long until an item that was shown counts in full again."),
]  # fmt: skip


Part = Annotated[float, Field(ge=0, le=1)]
Some = Annotated[int, Field(ge=1, le=100), _INTEGRAL]


class Asked(In):
    """What every question may hold, however it is sent."""

    placement: Id = Field(
        "home", description="Where it is shown: home, item_page, cart, newsletter, or one that was put."
    )
    locale: Locale | None = None
    channel: Channel | None = None


Truth = Annotated[bool, BeforeValidator(_truth)]
Exclude = Annotated[tuple[Id, ...], Field(description="Item ids to leave out; repeat it, or separate by commas.")]
FilterText = Annotated[Text, Field(description="A filter as JSON.")]
Shown = Annotated[tuple[FieldNames, ...], Field(description="What to tell of each item; or separated by commas.")]


class RecommendationsQuery(Asked):
    """Parameters of recommendations."""

    limit: Limit = 10
    offset: Offset = 0
    diversity: Diversity = 0.0
    min_relevance: Relevance = 0.0
    explore: Explore = 0.0
    rotation_rate: Rotation = 0.0
    explain: Truth = Field(False, description="Tell what each generator gave.")
    include_offers: Truth = Field(False, description="Beside each item the customer's best offer on it.")
    exclude: Exclude = ()
    category: tuple[Category, ...] = Field((), description="Only items of one of these; repeat it.")
    filter: FilterText | None = None
    fields: Shown = ()
    max_per: tuple[Cap, ...] = ()
    rotation_seconds: RotationSeconds = ROTATION_SECONDS


class RelatedQuery(In):
    """Parameters of lists around an item."""

    customer_id: Id | None = None
    limit: Limit = 10
    exclude: Exclude = ()
    filter: FilterText | None = None
    fields: Shown = ()
    locale: Locale | None = None


class SessionIn(InteractionBody):
    """An interaction that is not stored; whose it is need not be said."""

    model_config = ConfigDict(json_schema_extra={})


class ContextIn(In):
    """Where the list is shown. item_id: what the page is about; it counts as looked at, and is left out."""

    item_id: Id | None = None


class QuestionBody(Asked):
    """A question as an object."""

    diversity: Part = 0.0
    min_relevance: Part = 0.0
    explore: Part = 0.0
    rotation_rate: Part = 0.0
    explain: bool = False
    include_offers: bool = False
    limit: Some = 10
    offset: Annotated[int, Field(ge=0, le=LAST), _INTEGRAL] = 0
    exclude: list[Id] = Field([], max_length=1000)
    category: list[Category] = Field([], max_length=100)
    filter: FilterOrNone = None
    fields: list[FieldNames] = Field([], max_length=100)
    max_per: list[Cap] = Field([], max_length=100)
    rotation_seconds: Annotated[int, Field(ge=1, le=_LONGEST_ROTATION), _INTEGRAL] = ROTATION_SECONDS


class RecommendationsBody(QuestionBody):
    """A question as an object. customer_id: nobody known when missing. session: what they did that was not sent yet;
    it counts for this answer alone. items: what lies in the cart."""

    customer_id: Id | None = None
    session: list[SessionIn] = Field([], max_length=1000)
    items: list[Id] = Field([], max_length=1000)
    context: ContextIn | None = None


def question(asked: RecommendationsQuery | QuestionBody, exclude: Sequence[str]) -> Question:
    """Return what was asked, as the flows take it.

    Raises:
        InvalidRequest: the filter is none; names the place in it.
    """
    caps = [one.split(":") for one in asked.max_per]
    return Question(
        placement=asked.placement,
        limit=asked.limit,
        offset=asked.offset,
        exclude=tuple(exclude),
        wanted=either(read(asked.filter), asked.category),
        fields=names(asked.fields),
        diversity=asked.diversity,
        max_per=tuple((trait, int(most)) for trait, most in caps),
        min_relevance=asked.min_relevance,
        explore=asked.explore,
        rotation_rate=asked.rotation_rate,
        rotation_seconds=asked.rotation_seconds,
        locale=asked.locale,
        channel=asked.channel,
        explain=asked.explain,
        include_offers=asked.include_offers,
        said=frozenset(asked.model_fields_set),
    )


def related(asked: RelatedQuery, exclude: Sequence[str]) -> Question:
    """Return what was asked of a list around an item. Raises as `question`."""
    return Question(
        limit=asked.limit, exclude=tuple(exclude), wanted=read(asked.filter), fields=names(asked.fields),
        locale=asked.locale,
    )  # fmt: skip


def names(given: Sequence[str]) -> tuple[str, ...]:
    """Return the names of fields, each once."""
    return tuple(dict.fromkeys(name for several in given for name in several.split(",")))


def events(session: list[SessionIn], cart: list[str], on: str | None, now: float) -> tuple[Event, ...]:
    """Return what somebody did that is not stored: the session, the cart and the item of the page they are `on`."""
    micro = int(now * 1e6)
    found = []
    for one in session:
        at = micro if one.occurred_at is None else int(one.occurred_at.timestamp() * 1e6)
        lines: list[Any] = [*one.items] if one.items else [one]
        found += [
            Event(line.item_id, one.kind, at, line.stars, line.reason, one.order_id)
            for line in lines
            if line.item_id is not None
        ]
    found += [Event(item_id, "add_to_cart", micro) for item_id in cart]
    if on is not None:
        found.append(Event(on, "view", micro))
    return tuple(found)
