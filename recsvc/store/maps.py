"""The map: how a foreign file's columns and spellings become recsvc's. A YAML file, written by `recsvc import guess`.

    file: {delimiter: ";", encoding: cp1252, decimal: ",", thousands: "."}
    dates: {order: dmy, time_zone: Europe/Bucharest}
    skip: {StockCode: "^(POST|BANK CHARGES)$"}
    returns: {prefix: C}
    items: {item_id: StockCode, title: Description}
    interactions:
      kind: {value: purchase}
      item_id: StockCode
      customer_id: {from: CustomerID, whole: text}
      value_cents: {from: UnitPrice, times: Quantity, unit: major}

One map may feed several nouns from one file. Columns that it does not name are left.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from recsvc.errors import InvalidRequest


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone, as Europe/Bucharest or UTC") from None
    return name


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    return text


def _source(value: Any) -> Any:
    return {"from": value} if isinstance(value, str) else value


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Source(_Part):
    """Where one of recsvc's columns comes from: a column of the file, or one value for all rows.

    column: `from` in YAML. times: a column to multiply with. clock: a column of the time of day, beside one of days.
    unit: `major` when the file has 2.55 for 255 cents.
    names: the file's words for ours. split: what separates the entries of a list. whole: what becomes of an id that
    the file has as 17850.0: `refuse` it, or take the `text` 17850. empty: what stands for nothing in this column.
    """

    column: str | None = Field(None, alias="from")
    value: Any = None
    times: str | None = None
    clock: str | None = None
    unit: Literal["minor", "major"] = "minor"
    names: dict[str, str] = {}
    split: str | None = None
    whole: Literal["refuse", "text"] = "refuse"
    empty: tuple[str, ...] = ()


_Sources = dict[str, Annotated[Source, BeforeValidator(_source)]]


class File(_Part):
    """How the text is written. delimiter and encoding: found out when None. empty: what stands for nothing. lines: in
    JSON lines, the field that holds the lines of an order; what is in a line is then called `lines.sku`."""

    delimiter: str | None = Field(None, min_length=1, max_length=1)
    encoding: str | None = None
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'", "\u00a0", "\u202f"] = ""
    empty: tuple[str, ...] = ()
    lines: str | None = None


class Dates(_Part):
    """order: of day, month and year where the year is not first. time_zone: of times that do not say their own."""

    order: Literal["ymd", "dmy", "mdy"] = "ymd"
    time_zone: Annotated[str, AfterValidator(_zone)] | None = None

    @property
    def zone(self) -> ZoneInfo | None:
        """The time zone."""
        return ZoneInfo(self.time_zone) if self.time_zone else None


class Fill(_Part):
    """Columns that stand on the first line of an order only, and the column that says where an order begins."""

    by: str
    columns: tuple[str, ...]


class Returns(_Part):
    """A purchase of a negative quantity is a return; so is what the order id says by its prefix."""

    prefix: str | None = None


class Map(_Part):
    """The whole file. skip: lines that are left, by column and pattern (found anywhere in the value)."""

    file: File = File()
    dates: Dates = Dates()
    skip: dict[str, Annotated[str, AfterValidator(_pattern)]] = {}
    returns: Returns | None = None
    fill: Fill | None = None
    items: _Sources = {}
    customers: _Sources = {}
    interactions: _Sources = {}
    offers: _Sources = {}

    def sources(self, noun: str) -> dict[str, Source]:
        """Return column → source for a noun; empty: the file has recsvc's own names."""
        found: dict[str, Source] = getattr(self, noun)
        return found

    def in_zone(self, time_zone: str | None) -> Map:
        """Return the map with another time zone, when one is given.

        Raises:
            InvalidRequest: it is none.
        """
        if time_zone is None:
            return self
        try:
            dates = Dates(order=self.dates.order, time_zone=time_zone)
        except ValidationError:
            raise InvalidRequest(f"--time-zone: {time_zone!r} is not a time zone, as Europe/Bucharest or UTC") from None
        return self.model_copy(update={"dates": dates})


def load(path: Path, columns: dict[str, Any]) -> Map:
    """Return the map in a YAML file.

    Args:
        columns: noun → its columns, to check what the map feeds.

    Raises:
        InvalidRequest: not there, not YAML, or a field that is not one; names it.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path}: not YAML: {error}") from None
    if not isinstance(content, dict):
        raise InvalidRequest(f"{path}: must be a mapping, as `recsvc import guess` writes it")
    try:
        found = Map.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "from")
        raise InvalidRequest(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from None
    for noun, spec in columns.items():
        for name, source in found.sources(noun).items():
            if name not in spec:
                raise InvalidRequest(f"{path}: {noun}.{name}: {noun} have {', '.join(spec)}")
            if (source.column is None) == (source.value is None):
                raise InvalidRequest(f"{path}: {noun}.{name}: needs one of `from` and `value`")
    return found
