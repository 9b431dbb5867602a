"""A sample: the head of an unknown file, and what each of its columns may be."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from recsvc.errors import InvalidRequest
from recsvc.store import files
from recsvc.store.files import Head
from recsvc.store.headings import NAMES
from recsvc.store.maps import File

DATE: Final = re.compile(r"(\d{1,4})([-./])(\d{1,2})[-./](\d{1,4})")


@dataclass(frozen=True, slots=True)
class Sample:
    """The head of a file: its shape, the text of its first rows by column, and what each of our columns is there."""

    head: Head
    columns: dict[str, list[str]]
    found: dict[str, str]

    def of(self, name: str) -> list[str]:
        """Return the values of one of our columns that are not empty."""
        return [value for value in self.columns.get(self.found.get(name, ""), []) if value]

    def numbers(self) -> list[str]:
        """Return the values of all columns that look like numbers with decimals."""
        mostly = [
            [one for one in values if re.fullmatch(r"-?[\d.,' \u00a0]*\d[.,]\d{1,2}", one)]
            for values in self.columns.values()
        ]
        return [one for few, values in zip(mostly, self.columns.values(), strict=True)
                if len(few) > 0.8 * sum(map(bool, values)) for one in few]  # fmt: skip


def read(path: Path) -> Sample:
    """Return the sample of a file.

    Raises:
        InvalidRequest: it cannot be read, or has no row.
    """
    heads: list[Head] = []

    def choose(head: Head) -> set[str]:
        heads.append(head)
        return set(head.columns)

    piece = next(files.pieces(path, File(lines=_lines(files.head(path, File()))), choose), None)
    if piece is None or not len(piece.numbers):
        raise InvalidRequest(f"{path}: has a header and no rows")
    columns = {}
    for name, values in piece.columns.items():
        texts = ["" if one is None else one for one in values.to_pylist()]
        columns[name] = [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in texts]
    filled = {name for name, values in columns.items() if any(values)}
    found = _known(heads[0], filled)
    return Sample(heads[0], columns, _of_items(found, columns, heads[0]))


def _lines(head: Head) -> str | None:
    """Return the field of JSON lines that holds the lines of an order, None when there is none."""
    if head.format != "jsonl":
        return None
    counts: Counter[str] = Counter()
    for line in head.text.splitlines()[:200]:
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        lists = {name: one for name, one in fields.items() if isinstance(one, list)} if isinstance(fields, dict) else {}
        counts.update(name for name, one in lists.items() if one and all(isinstance(part, dict) for part in one))
    return counts.most_common(1)[0][0] if counts else None


def _of_items(found: dict[str, str], columns: dict[str, list[str]], head: Head) -> dict[str, str]:
    """Return `found` with another item column, where the one found has another value on nearly every row and the other,
    a known name too, has not: the first numbers the lines of the orders."""
    chosen = found.get("item_id")
    if chosen is None or "order_id" not in found or not _numbers_lines(columns[chosen]):
        return found
    plain = {_plain(name): name for name in head.columns if name not in found.values()}
    others = [plain[name] for name in NAMES["item_id"] if name in plain and not _numbers_lines(columns[plain[name]])]
    return {**found, "item_id": others[0]} if others else found


def _numbers_lines(values: list[str]) -> bool:
    return len(values) >= 40 and len(set(values)) > 0.95 * len(values)


def _known(head: Head, filled: set[str]) -> dict[str, str]:
    """Return our name → theirs, for the columns whose names are known and that hold something."""
    # What stands in the lines of an order says more of a line than what the order says.
    inner = f"{head.lines}." if head.lines else ""
    # An object is no value of a column: what is within it may be one.
    leaves = [
        name for name in reversed(head.columns)
        if name in filled and not any(one.startswith(f"{name}.") for one in head.columns)
    ]  # fmt: skip
    names = sorted(leaves, key=lambda name: bool(inner) and name.startswith(inner))
    plain = {_plain(name.removeprefix(inner) if inner else name): name for name in names}
    found: dict[str, str] = {}
    for ours, theirs in NAMES.items():
        free = [plain[name] for name in theirs if name in plain and plain[name] not in found.values()]
        if free:
            found[ours] = free[0]
    if "order_id" not in found and "lineitemname" in plain and "name" in plain:
        found["order_id"] = plain["name"]  # Shopify calls the order's number its name
    return found


def _plain(name: str) -> str:
    """Return a name's letters and digits, without accents: Preț is pret."""
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKD", name).lower())


def date_order(texts: list[str]) -> tuple[str, str]:
    """Return the order of day, month and year in texts, and the evidence for it."""
    dates = [found for found in (DATE.match(text) for text in texts) if found]
    if not dates:
        return "ymd", f"no calendar dates: {texts[0]!r}"
    if all(len(found[1]) == 4 for found in dates):
        return "ymd", f"the year is first: {dates[0][0]}"
    dates = [found for found in dates if len(found[1]) < 4]  # a year that stands first says nothing of the others
    first = next((found[0] for found in dates if int(found[1]) > 12), None)
    second = next((found[0] for found in dates if int(found[3]) > 12), None)
    if first and not second:
        return "dmy", f"the first number is a day: {first}"
    if second and not first:
        return "mdy", f"the second number is a day: {second}"
    falls = {}
    for order, (month, day) in {"dmy": (3, 1), "mdy": (1, 3)}.items():
        keys = [(found[4], int(found[month]), int(found[day])) for found in dates]
        falls[order] = sum(a > b for a, b in pairwise(keys))
    best = "mdy" if falls["mdy"] < falls["dmy"] else "dmy"
    return best, f"NOT SURE: {dates[0][0]} fits both; read so, the rows run backwards {falls[best]} times"
