"""Guess: the map of an unknown file, from its head, with the reason of each decision as a comment."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

import yaml

from recsvc import intake
from recsvc.concepts import KIND_NAMES
from recsvc.errors import InvalidRequest
from recsvc.store.headings import KINDS, NO_SALE, NOBODY, SERVICE, SERVICE_TITLE
from recsvc.store.samples import DATE, Sample, date_order, read

_SIGN: Final = r"(?:[^\w.,']|[A-Z]{3})*"  # what may stand around an amount: $, EUR, a minus


def guess_map(path: Path) -> str:
    """Return a map for the file, as YAML with comments.

    Raises:
        InvalidRequest: it cannot be read, or no column is recognised.
    """
    sample = read(path)
    if not {"item_id", "customer_id"} & sample.found.keys():
        raise InvalidRequest(f"{path}: no column looks like an item or a customer; it has {', '.join(sample.columns)}")
    rows = len(next(iter(sample.columns.values())))
    parts = [
        f"# How {path.name} would be read, guessed from its first {rows:,} rows. Look at each line; then\n"
        "#   recsvc import items FILE --map MAP   and   recsvc import interactions FILE --map MAP\n"
        "# Decide before the first import: a line without an id of its own is known by its fields as mapped.\n",
        _file(sample), _dates(sample), _skip(sample), _returns(sample), _fill(sample),
        _items(sample), _customers(sample),
        _interactions(sample),
    ]  # fmt: skip
    return "".join(part for part in parts if part)


def _line(name: str, value: Any, why: str, indent: str = "  ") -> str:
    text = yaml.safe_dump({name: value}, default_flow_style=True, allow_unicode=True, width=1000).strip()[1:-1]
    return f"{indent}{text}".ljust(48) + f"  # {why}\n"


def _file(sample: Sample) -> str:
    head = sample.head
    if head.format == "parquet":
        return ""
    out = "file:\n"
    out += _line("encoding", head.encoding, {
        "utf-8": "every byte of the head is valid UTF-8",
    }.get(head.encoding, "not UTF-8, or a mark at its start; look at names with accents"))  # fmt: skip
    if head.lines:
        out += _line("lines", head.lines, "the lines of an order stand in it; their fields are called so")
    if head.format == "csv":
        count = len(head.columns)
        out += _line("delimiter", head.delimiter, f"the header has {count} columns with it")
    numbers = sample.of("price") + sample.of("total") + sample.of("quantity") or sample.numbers()
    comma = sum(bool(re.search(rf"\d,(\d{{1,2}}|\d{{4,}}){_SIGN}$", one)) for one in numbers)
    point = sum(bool(re.search(rf"\d\.\d+{_SIGN}$", one)) for one in numbers)
    decimal = "," if comma > point else "."
    out += _line(
        "decimal", decimal, f"{max(comma, point):,} numbers end like 1{decimal}50, {min(comma, point):,} otherwise"
    )
    for mark in ("." if decimal == "," else ",", " ", "\u00a0", "'"):
        grouped = [
            one
            for one in numbers
            if re.fullmatch(rf"{_SIGN}\d{{1,3}}({re.escape(mark)}\d{{3}})+([{decimal}]\d+)?{_SIGN}", one)
        ]
        if grouped:
            sure = "as in" if comma or point else "NOT SURE, no number says what the decimal mark is: as in"
            out += _line("thousands", mark, f"{sure} {grouped[0]}")
            break
    return out


def _dates(sample: Sample) -> str:
    texts = sample.of("occurred_at")
    if not texts:
        return ""
    dates = [intake.numbered(one) for one in texts]
    order, why = date_order(dates)
    out = "dates:\n" + _line("order", order, why)
    naive = [
        text for text, date in zip(texts, dates, strict=True)
        if DATE.match(date) and not re.search(r"([Zz]|UTC|[+-]\d{2}:?\d{2})$", date[8:])
    ]  # fmt: skip
    if naive:
        out += (
            "  # time_zone: Europe/London".ljust(48) + f"  # {naive[0]!r} says no zone: fill in, or give --time-zone\n"
        )
    return out


def _skip(sample: Sample) -> str:
    found = [one for one in (_services(sample), _states(sample)) if one]
    if not found:
        return ""
    reasons = "".join(f"# {why}\n" for _, why in found)
    lines = yaml.safe_dump(dict(one for one, _ in found), width=1000, allow_unicode=True, sort_keys=False)
    return f"{reasons}skip:\n" + "".join(f"  {line}\n" for line in lines.splitlines())


def _services(sample: Sample) -> tuple[tuple[str, str], str] | None:
    """Return the item column and the pattern of what is no product, and the evidence."""
    codes = sample.columns.get(sample.found.get("item_id", ""), [])
    titles = sample.columns.get(sample.found.get("title", ""), [""] * len(codes))
    with_digit = sum(any(ch.isdigit() for ch in code) for code in codes)
    if not codes or "order_id" not in sample.found:
        return None
    # Where codes have digits, any without is odd. Elsewhere only what no product is called: M may be a size.
    digits = with_digit >= 0.9 * len(codes)
    odd = Counter(
        code for code, title in zip(codes, titles, strict=False)
        if code and not any(ch.isdigit() for ch in code) and (
            code.upper() in SERVICE or SERVICE_TITLE.search(title) if digits else SERVICE_TITLE.fullmatch(code)
            or (code.upper() in SERVICE and SERVICE_TITLE.search(title)))
    )  # fmt: skip
    if not odd:
        return None
    words = sorted({*(SERVICE if digits else ()), *(code.upper() for code in odd)})
    pattern = f"(?i)^({'|'.join(re.escape(word).replace(chr(92) + ' ', ' ') for word in words)})$"
    seen = ", ".join(f"{code} ({count})" for code, count in odd.most_common(6))
    return (sample.found["item_id"], pattern), f"Lines that are no product; in the head: {seen}."


def _states(sample: Sample) -> tuple[tuple[str, str], str] | None:
    """Return the column of the order's state and the pattern of the states that are no sale, and the evidence."""
    counts = Counter(sample.of("status"))
    odd = sorted(state for state in counts if state.lower().removeprefix("wc-") in NO_SALE)
    if not odd or "order_id" not in sample.found:
        return None
    rest = ", ".join(f"{state} ({count})" for state, count in counts.most_common(8) if state not in odd)
    seen = ", ".join(f"{state} ({counts[state]})" for state in odd)
    pattern = f"(?i)^({'|'.join(re.escape(state) for state in odd)})$"
    return (sample.found["status"], pattern), f"LOOK: orders that are no sale: {seen}; what stays is {rest}."


def _fill(sample: Sample) -> str:
    """Say which columns stand on the first line of an order only."""
    if sample.head.format != "csv" or "order_id" not in sample.found:
        return ""
    by = sample.found["order_id"]
    orders = sample.columns[by]
    # An order's number may itself stand on its first line only.
    below = [n > 0 and (not order or order == orders[n - 1]) for n, order in enumerate(orders)]
    if sum(below) < 3:
        return ""
    columns = [
        sample.found[name] for name in ("customer_id", "occurred_at", "currency", "channel", "status")
        if name in sample.found and _on_first_lines(sample.columns[sample.found[name]], below)
    ]  # fmt: skip
    if not columns:
        return ""
    value = {"by": by, "columns": columns}
    return _line("fill", value, "stand on the first line of an order only; the lines below take them from it", "")


def _on_first_lines(values: list[str], below: list[bool]) -> bool:
    first = [value for value, under in zip(values, below, strict=True) if not under]
    return not any(value for value, under in zip(values, below, strict=True) if under) and any(first)


def _returns(sample: Sample) -> str:
    quantities = sample.columns.get(sample.found.get("quantity", ""), [])
    orders = sample.columns.get(sample.found.get("order_id", ""), [])
    negative = [row for row, text in enumerate(quantities) if text.startswith("-")]
    letters = Counter(found[1] for order in orders if (found := re.match(r"([A-Za-z]+)[-_]?\d", order)))
    credit = [mark for mark, count in letters.items() if count < 0.3 * len(orders)]
    back = {mark: [row for row in negative if orders[row].startswith(mark)] for mark in credit} if orders else {}
    prefix = max(back, key=lambda mark: len(back[mark]), default=None)
    if prefix and back[prefix]:
        row = back[prefix][0]
        return "returns:\n" + _line(
            "prefix", prefix, f"as {orders[row]} with quantity {quantities[row]}: a credit note"
        )
    if negative or (quantities and orders):
        return "returns: {}".ljust(48) + f"  # a negative quantity is a return; {len(negative)} in the head\n"
    return ""


def _items(sample: Sample) -> str:
    if not {"item_id", "title"} <= sample.found.keys():
        return ""
    out = "items:\n" + _id("item_id", sample) + _line("title", sample.found["title"], _example(sample, "title"))
    for name in ("categories", "brand", "currency"):
        if name in sample.found:
            out += _line(name, sample.found[name], _example(sample, name))
    if "price" in sample.found:
        out += _line("price_cents", {"from": sample.found["price"], "unit": "major"}, "in whole units, as 2.55")
    return out


def _customers(sample: Sample) -> str:
    if "customer_id" not in sample.found or ("item_id" in sample.found and "segment" not in sample.found):
        return ""
    out = "customers:\n" + _id("customer_id", sample)
    return out + (
        _line("segment", sample.found["segment"], _example(sample, "segment")) if "segment" in sample.found else ""
    )


def _interactions(sample: Sample) -> str:
    found = sample.found
    missing = sorted({"item_id", "occurred_at"} - found.keys())
    if not {"customer_id", "order_id"} & found.keys():
        missing.append("customer_id or order_id")
    if missing:
        columns = ", ".join(sample.columns)
        return f"# No interactions: no column looks like {' nor '.join(missing)}, among {columns}.\n"
    out = "interactions:\n" + _kind(sample)
    own = sample.of("interaction_id")
    if own and len(set(own)) < len(own):
        out += f"  # {found['interaction_id']}: no id of a line, it stands on several\n"
    for name in ("interaction_id", "order_id", "item_id", "customer_id")[len(set(own)) < len(own) :]:
        out += _id(name, sample) if name in found else ""
    out += _nobody(sample) + _moment(sample)
    for name in ("quantity", "currency"):
        out += _line(name, found[name], _example(sample, name)) if name in found else ""
    if "total" in found and not _of_order(sample):
        out += _line(
            "value_cents",
            {"from": found["total"], "unit": "major"},
            f"of the whole line, as {_example(sample, 'total')}",
        )
    elif {"price", "quantity"} <= found.keys():
        value = {"from": found["price"], "times": found["quantity"], "unit": "major"}
        out += _line("value_cents", value, "price of one × quantity")
    if "stars" in found:
        out += _line("stars", found["stars"], _example(sample, "stars"))
    return out


def _nobody(sample: Sample) -> str:
    if "customer_id" in sample.found:
        return ""
    return (
        "  # customer_id:".ljust(48)
        + "  # LOOK: no column looks like one; without it lines only say what goes together\n"
    )


def _moment(sample: Sample) -> str:
    """Say where the moment stands: in one column, or the day and the time of day in two."""
    texts, clock = sample.of("occurred_at"), sample.of("time_of_day")
    name, example = sample.found["occurred_at"], _example(sample, "occurred_at")
    days = all(":" not in re.sub(r"[T ]00:00(:00(\.0+)?)?$", "", text) for text in texts)
    if clock and days and not all(re.match(r"\d{1,2}:\d{2}", one) for one in clock):
        return _line("occurred_at", name, f"{example}; LOOK: the time of day, as {clock[0]}, is not read")
    if clock and days:
        both = {"from": name, "clock": sample.found["time_of_day"]}
        return _line("occurred_at", both, f"{example} and {_example(sample, 'time_of_day')}")
    return _line("occurred_at", name, example)


def _of_order(sample: Sample) -> bool:
    """Whether the total may be the whole order's: then it is left, where price and quantity say the line's."""
    if not {"price", "quantity"} <= sample.found.keys():
        return False
    total, price = sample.columns[sample.found["total"]], sample.columns[sample.found["price"]]
    quantity = sample.columns[sample.found["quantity"]]
    single = [(a, b) for a, b, count in zip(total, price, quantity, strict=True) if count == "1" and b]
    return sum(a == b for a, b in single) < 0.8 * len(single) or not single


def _kind(sample: Sample) -> str:
    texts = set(sample.of("kind"))
    names = {text: KINDS.get(re.sub(r"[^a-z]", "", text.lower()), text.lower()) for text in texts}
    if texts and len(texts) < 30 and any(name in KIND_NAMES for name in names.values()):
        changed = {text: name for text, name in sorted(names.items()) if text != name}
        value: Any = {"from": sample.found["kind"], "names": changed} if changed else sample.found["kind"]
        odd = sorted(name for name in names.values() if name not in KIND_NAMES)
        return _line("kind", value, f"LOOK: {', '.join(odd)} is none of ours" if odd else "each is one of ours")
    if sample.of("stars"):
        return _line("kind", {"value": "review"}, "there are ratings and no kinds")
    return _line("kind", {"value": "purchase"}, "no column says what happened: taken as lines of orders")


def _id(name: str, sample: Sample) -> str:
    column, texts = sample.found[name], sample.of(name)
    empty = len(sample.columns[column]) - len(texts)
    why = f"{len(set(texts)):,} different, as {_example(sample, name)}" + (
        f"; {empty:,} rows have none" if empty else ""
    )
    nobody = sorted({text for text in texts if text.lower() in NOBODY}) if name == "customer_id" else []
    whole = [text for text in texts if re.fullmatch(r"\d+\.0+", text)]
    value: dict[str, Any] = {"from": column}
    if whole:
        value["whole"], why = "text", f"{whole[0]} is read as {whole[0].split('.')[0]}; {why}"
    if nobody:
        value["empty"], why = nobody, f"{', '.join(nobody)} is nobody; {why}"
    return _line(name, value if len(value) > 1 else column, why)


def _example(sample: Sample, name: str) -> str:
    texts = sample.of(name)
    return intake.shorten(texts[0]) if texts else "empty in the head"
