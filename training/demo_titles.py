"""Turns the demo data's upper-case product codes into titles and categories a shop owner would print.

The source names products by about 2,400 codes of at most 30 letters, abbreviated and cut off.  Codes that
no rule can read are spelled out in `configs/demo/titles.tsv`; the rest go through word-by-word expansion.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from recsvc.settings import configs_folder

if TYPE_CHECKING:
    from pathlib import Path

_TABLES = ("department", "category", "type", "quality", "noun", "word", "name")
_SPELLINGS = {
    "oz": "OZ|OZS|OZS.|Z|O", "fl oz": "FL OZ", "lb": "LB|LBS", "gal": "GA|GAL|GALON", "L": "L|LT",
    "ml": "ML", "ct": "CT", "dozen": "DZ|DOZ", "pack": "PK|PKS", "pt": "PT", "qt": "QT", "sq ft": "SQ FT",
    "ft": "FT", "in": "IN", "loads": "LOAD|LOADS|LD|LDS", "pieces": "PC|PCS", "stems": "STEM|STEMS",
    "g": "G|GM", "uses": "USE",
}  # fmt: skip
_UNITS = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings.split("|")}
_ALONE = {"PT": "1 pt", "QT": "1 qt", "GAL": "1 gal", "DZ": "1 dozen", "1/2 GAL": "half gallon"}
_ALONE |= {"1/2 PT": "half pint", "LARGE": "large", "SMALL": "small", "MED": "medium", "MINI": "mini"}
_NUMBER = r"(\d*\.?\d+)"
_UNIT = "(" + "|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True)) + ")"
_WRAP = r"(?: BAG| CAN| BTL| PET| LOOSE| NR| AEROS?\.?| CN)?"
_PLAIN = re.compile(rf"{_NUMBER} ?{_UNIT}{_WRAP}\*?")
_MULTI = re.compile(rf"(\d+) ?(PK|CT|P|BAR)? ?[/-]? ?{_NUMBER} ?(OZ|LT?|ML|Z|O|FL OZ|GAL|QT|PT){_WRAP}")
_REVERSED = re.compile(rf"{_NUMBER} ?(OZ|LT?|ML) ?/ ?(\d+) ?(PK|CT)?")
_MIXED = re.compile(r"(\d+) (\d+)/(\d+) OZ")
# Fresh goods carry the shipping case ("40 LB" bananas) instead of what the customer buys.
_FRESH = frozenset(
    ("PRODUCE", "MEAT", "DELI", "SEAFOOD", "FROZEN GROCERY", "CHEF SHOPPE", "TRAVEL & LEISURE", "SALAD BAR")
)
_NO_HOUSE_BRAND = _FRESH | {"PASTRY", "FLORAL", "RESTAURANT", "GARDEN CENTER"}


def read_phrases(path: Path) -> dict[str, dict[str, str]]:
    """Read the phrases by table and code.  Empty lines and lines starting with `#` are comments.

    Raises:
        ValueError: a line is not a known table, a code and a phrase, or repeats a code; file and line are named.
    """
    tables: dict[str, dict[str, str]] = {name: {} for name in _TABLES}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != 3 or not all(cells):
            raise ValueError(f"{path}, line {number}: expected a table, a code and a phrase with a tab between each")
        table, code, phrase = cells
        if table not in tables:
            raise ValueError(f"{path}, line {number}: unknown table {table!r}; the tables are {', '.join(_TABLES)}")
        if code in tables[table]:
            raise ValueError(f"{path}, line {number}: {code!r} is already in the table {table!r}")
        tables[table][code] = phrase
    return tables


@cache
def _all_phrases() -> dict[str, dict[str, str]]:
    return read_phrases(configs_folder() / "demo" / "titles.tsv")


def _phrases(table: str) -> dict[str, str]:
    return _all_phrases()[table]


def _clean(raw: str) -> str:
    return re.sub(r"\s+", " ", raw).strip()


def _number(text: str) -> str:
    """Write a size without useless zeros: `8.0` becomes `8`, `.5` becomes `0.5`."""
    return f"{float(text):g}"


def _join(parts: list[str]) -> str:
    if len(parts) < 3:
        return " and ".join(parts)
    return ", ".join(parts[:-1]) + " and " + parts[-1]


def _word(token: str) -> str:
    bare = token.strip(",")
    tail = token[len(bare) :] if token.startswith(bare) else ""
    expanded = _phrases("word").get(bare)
    if expanded is not None:
        return expanded + tail
    return _phrases("name").get(bare, bare.lower()) + tail


def _phrase(raw: str) -> str:
    """Expand one code word by word into a sentence-case phrase (the fallback for codes in no table)."""
    text = _clean(raw)
    cut_off = len(raw) >= 30
    if text.count("(") > text.count(")"):
        text, cut_off = text[: text.rindex("(")].strip(), False
    text = re.sub(r" ?\((?:OVER|UNDER|50%|BULK)[^)]*\)", "", text).replace("W/O ", "WITHOUT ")
    text = re.sub(r"(?: -)? ?\(([^)]*)\)", r", \1", text).replace(" ,", ",")
    text = re.sub(r"^(.*?) ?- ?(OTHER|COLLEGIATE)$", r"\2 \1", text)
    text = re.sub(r"\bW/", "WITH ", text)
    text = re.sub(r"\b(CHILDREN|WOMEN|DVD) S\b", r"\1S", text)
    if text.endswith("-MAGAZINE"):
        text = text[: -len("-MAGAZINE")] + " MAGAZINE"
    text = re.sub(r"\s*&\s*", " AND ", text)
    text = re.sub(r"\s*:\s*|\s+-\s+|(?<=\w)- ", ", ", text)
    if cut_off and " " in text:
        text = text.rsplit(" ", 1)[0].rstrip("/, ")
    pieces = []
    for chunk in text.split(", "):
        words = [_join([_word(part) for part in token.split("/") if part]) for token in chunk.split(" ")]
        pieces.append(" ".join(word for word in words if word))
    phrase = ", ".join(piece for piece in pieces if piece)
    phrase = re.sub(r"( and| or| with|,)+$", "", re.sub(r"\s+", " ", phrase)).strip(" ,.-")
    return phrase[:1].upper() + phrase[1:]


@cache
def department_name(raw: str | None) -> str | None:
    """Return the readable name of a department code, or None for none."""
    return None if raw is None else _phrases("department").get(_clean(raw)) or _phrase(raw)


@cache
def category_name(raw: str | None) -> str | None:
    """Return the readable name of a product category code, or None for none."""
    return None if raw is None else _phrases("category").get(_clean(raw)) or _phrase(raw)


@cache
def type_name(raw: str | None, category: str | None) -> str | None:
    """Return the readable name of a product type code, or None for none.

    `category` is the raw category code; it gives bare quality words their noun ("PREMIUM" bacon).
    """
    if raw is None:
        return None
    code, group = _clean(raw), _clean(category or "")
    known = _phrases("type").get(f"{group}|{code}") or _phrases("type").get(code)
    if known is not None:
        return known
    quality = _phrases("quality").get(code)
    if quality is not None and category is not None:
        noun = _phrases("noun").get(group) or inline(category_name(category) or "")
        return f"{quality} {noun}".strip()
    return _phrase(code)


def inline(name: str) -> str:
    """Return `name` for use inside a sentence: the first letter small unless it is a proper name."""
    first = name.split(" ", 1)[0].strip(",")
    proper = first in _phrases("name").values() and not first.islower()
    if proper or any(letter.isupper() for letter in first[1:]):
        return name
    return name[:1].lower() + name[1:]


def _case_size(number: float, unit: str, code: str, department: str) -> bool:
    """Say whether a fresh product's size is the crate it is shipped in, judged by what people carry."""
    if department not in _FRESH:
        return False
    if unit == "LB":
        # Meat of "1 LB" is sold by weight: the size is the unit of the price.
        by_weight = number == 1 and department in ("MEAT", "SEAFOOD", "DELI")
        return by_weight or number > (10 if "POTATO" in code else 5)
    return unit in ("CT", "DZ", "PK") or (unit == "OZ" and number > 160)


def _pack(count: str, kind: str | None, amount: str, unit: str) -> str | None:
    """Write a multi-pack size; a count ("8 CT/16 OZ") states the total weight, a pack the single one."""
    if not 1 < int(count) < 100:
        return None
    each = f"{_number(amount)} {_UNITS[unit]}"
    return f"{each}, {count} ct" if kind == "CT" else f"{count} × {each}"


@cache
def size_text(raw: str | None, department: str | None, code: str | None) -> str | None:
    """Return a package size in readable units ("12 oz", "6 × 16.9 oz"), or None where it says nothing.

    `department` and `code` are the raw department and type: fresh goods list their shipping case.
    """
    text = re.sub(r"^(?:[A-Z]{1,3}\s+|\d{5,}\s+)(?=[\d.])", "", _clean(raw or "")).strip()
    if text in _ALONE:
        return None if department in _FRESH and text == "DZ" else _ALONE[text]
    plain = _PLAIN.fullmatch(text)
    if plain:
        number, unit = float(plain[1]), plain[2]
        if not 0 < number < 2000 or (number == 1 and unit in ("CT", "PK", "PC", "STEM", "USE")):
            return None
        if department is not None and _case_size(number, unit, code or "", department):
            return None
        bottles = number / 16.9
        # A case of half-liter bottles is written as its total: 405.6 oz is 24 bottles.
        if unit == "OZ" and bottles >= 4 and abs(bottles - round(bottles)) < 0.01:
            return f"{round(bottles)} × 16.9 oz"
        return f"{_number(plain[1])} {_UNITS[unit]}"
    mixed = _MIXED.fullmatch(text)
    if mixed and int(mixed[3]):
        return f"{round(int(mixed[1]) + int(mixed[2]) / int(mixed[3]), 2):g} oz"
    multi, flipped = _MULTI.fullmatch(text), _REVERSED.fullmatch(text)
    if multi:
        return _pack(multi[1], multi[2], multi[3], multi[4])
    if flipped:
        return _pack(flipped[3], flipped[4], flipped[1], flipped[2])
    return None


def product_title(
    department: str | None, category: str | None, code: str | None, brand: str | None, size: str | None
) -> str:
    """Return the title of a product from its raw codes, such as "Shredded cheese, store brand, 8 oz"."""
    parts = [type_name(code, category) or category_name(category) or "Unlisted product"]
    if brand == "Private" and department not in _NO_HOUSE_BRAND:
        parts.append("store brand")
    amount = size_text(size, department, code)
    # "Soft drink, 2-liter bottle" has said its size.
    if amount is not None and amount.replace(" L", "-liter") not in parts[0]:
        parts.append(amount)
    return ", ".join(parts)
