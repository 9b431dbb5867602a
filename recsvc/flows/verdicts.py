"""Validate: what is to be known of files before they are imported, as verdicts. Nothing is written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from recsvc.artifact import Array
from recsvc.errors import InvalidRequest
from recsvc.flows import imports
from recsvc.flows.imports import Checked, Progress
from recsvc.store import columns, files, interactions, lines
from recsvc.store.maps import Map

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"
_SAMPLES: Final = 3
_DAY: Final = 86_400_000_000
# A person does not do 100,000 things; a till, a test account or a collective account does.
_ONE_CUSTOMER: Final = 100_000
_CUSTOMER_SHARE: Final = 0.2
_ITEM_SHARE: Final = 0.5
_GAP_DAYS: Final = 31
_ENOUGH: Final = {"purchases": 1000, "customers with two orders": 50, "items": 20}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One finding: PASS, WARN or FAIL, what was looked at, what was found, and rows that show it."""

    level: str
    what: str
    found: str
    samples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Facts:
    """What is counted while the files are read."""

    rows: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    equal: int = 0
    equal_examples: list[str] = field(default_factory=list)
    catalogue: set[str] = field(default_factory=set)
    customers: Counter[str] = field(default_factory=Counter)
    orders: dict[str, set[str]] = field(default_factory=dict)
    items: Counter[str] = field(default_factory=Counter)
    sold: Counter[str] = field(default_factory=Counter)
    days: Counter[int] = field(default_factory=Counter)


def validate(paths: list[Path], a_map: Map, known_items: set[str], now: datetime, progress: Progress) -> list[Verdict]:
    """Return the verdicts on files that would be imported together.

    Args:
        known_items: item ids of the store.

    Raises:
        InvalidRequest: a file cannot be read at all, or is of no noun.
    """
    facts, done = _Facts(catalogue=set(known_items)), 0
    for path in files.expand(paths):
        for noun in _nouns(path, a_map):
            equal = lines.Ordinals()
            for checked in imports.read(noun, path, a_map, now):
                _count(facts, noun, path, checked, equal)
                progress(sum(facts.rows.values()), done + checked.piece.done, None)
        done += files.size(path) or 0
    found = [_refused(facts), _equal(facts)]
    if facts.rows["interactions"]:
        found += [_unknown(facts), _dates(facts, now), _customer(facts), _item(facts), _enough(facts)]
    return found


def _nouns(path: Path, a_map: Map) -> list[str]:
    """Return what a file holds: what the map feeds, else the noun whose columns it has."""
    fed = [noun for noun in imports.NOUNS if a_map.sources(noun)]
    if fed:
        return fed
    names = set(files.head(path, a_map.file).columns)
    for noun in ("interactions", "items", "offers", "customers"):
        spec = columns.COLUMNS[noun]
        if all(name in names for name, column in spec.items() if column.required):
            return [noun]
    raise InvalidRequest(
        f"{path}: is none of {', '.join(imports.NOUNS)} by its columns; write a map: recsvc import guess"
    )


def _count(facts: _Facts, noun: str, path: Path, checked: Checked, equal: lines.Ordinals) -> None:
    piece, wrong = checked.piece, checked.wrong
    facts.rows[noun] += len(piece.numbers) + len(piece.broken)
    for number, reason in [
        *((one.number, one.reason) for one in piece.broken),
        *((int(piece.numbers[row]), f"{column}: {value!r}: {reason}")
          for row, (column, value, reason) in wrong.rows.items() if not checked.left_out[row]),
    ]:  # fmt: skip
        facts.refused[noun] += 1
        if len(facts.examples) < _SAMPLES:
            facts.examples.append(f"{path} row {number}: {reason}")
    if noun != "interactions":
        _objects(facts, noun, checked)
        return
    # Ids that are derived differ where lines are equal, so equality is judged by the fields.
    rows = lines.rows(checked.columns, checked.keep, lines.Ordinals())
    if rows:
        _lines(facts, rows, path, piece.numbers[checked.keep], equal)


def _objects(facts: _Facts, noun: str, checked: Checked) -> None:
    key = imports.KEYS[noun]
    if key in checked.columns:
        facts.catalogue |= (
            set(checked.columns[key].filter(pa.array(checked.keep)).to_pylist()) if noun == "items" else set()
        )


def _lines(facts: _Facts, rows: list[tuple[Any, ...]], path: Path, numbers: Array, equal: lines.Ordinals) -> None:
    at = {
        name: interactions.COLUMNS.index(name) for name in ("customer_id", "item_id", "kind", "occurred_at", "order_id")
    }
    again = equal.of(np.array([hash(row[1:]) & (2**63 - 1) for row in rows], np.uint64)) > 0
    facts.equal += int(again.sum())
    for place in np.flatnonzero(again)[: _SAMPLES - len(facts.equal_examples)].tolist():
        shown = ", ".join(str(one) for one in rows[place][1:] if one is not None)
        facts.equal_examples.append(f"{path} row {numbers[place]}: {shown}")
    for row in rows:
        customer, item, kind = row[at["customer_id"]], row[at["item_id"]], row[at["kind"]]
        if customer is not None:
            facts.customers[customer] += 1
            mine = facts.orders.setdefault(customer, set())
            if kind == "purchase" and len(mine) < 2:
                mine.add(row[at["order_id"]] or str(row[at["occurred_at"]]))
        if item is not None:
            facts.items[item] += 1
            facts.sold[item] += kind == "purchase"
        facts.days[row[at["occurred_at"]] // _DAY] += 1


def _refused(facts: _Facts) -> Verdict:
    bad, rows = sum(facts.refused.values()), sum(facts.rows.values())
    level = PASS if not bad else FAIL if bad > 0.05 * rows else WARN
    return Verdict(level, "rows", f"{bad:,} of {rows:,} would be refused", facts.examples)


def _equal(facts: _Facts) -> Verdict:
    share = facts.equal / max(facts.rows["interactions"], 1)
    found = f"{facts.equal:,} lines equal another; each counts"
    return Verdict(WARN if facts.equal else PASS, "equal lines", f"{found} ({share:.1%})", facts.equal_examples)


def _unknown(facts: _Facts) -> Verdict:
    unknown = [item for item in facts.items if item not in facts.catalogue]
    count = sum(facts.items[item] for item in unknown)
    worst = sorted(unknown, key=lambda item: -facts.items[item])[:_SAMPLES]
    found = f"{len(unknown):,} of {len(facts.items):,} items are in no catalogue ({count:,} rows); they are in no list"
    samples = [f"{item}: {facts.items[item]:,} rows" for item in worst]
    level = PASS if not unknown else FAIL if len(unknown) == len(facts.items) else WARN
    return Verdict(level, "unknown items", found, samples)


def _dates(facts: _Facts, now: datetime) -> Verdict:
    days = np.array(sorted(facts.days))
    if not len(days):
        return Verdict(FAIL, "dates", "no row has one")
    text = [datetime.fromtimestamp(int(day) * 86400, UTC).date().isoformat() for day in (days[0], days[-1])]
    gaps = np.flatnonzero(np.diff(days) > _GAP_DAYS)
    samples = [
        f"nothing for {int(days[gap + 1] - days[gap])} days after"
        f" {datetime.fromtimestamp(int(days[gap]) * 86400, UTC).date()}" for gap in gaps[:_SAMPLES].tolist()
    ]  # fmt: skip
    old = int(now.timestamp() // 86400 - days[-1])
    if old > _GAP_DAYS:
        samples.append(f"the newest is {old} days old: trending and new lists will be empty")
    return Verdict(WARN if samples else PASS, "dates", f"{text[0]} to {text[1]}, {len(days):,} days with rows", samples)


def _customer(facts: _Facts) -> Verdict:
    total = sum(facts.customers.values())
    many = [
        (customer, count) for customer, count in facts.customers.most_common(_SAMPLES)
        if count >= _ONE_CUSTOMER or (count > _CUSTOMER_SHARE * total and len(facts.customers) > 20)
    ]  # fmt: skip
    return Verdict(
        WARN if many else PASS, "one customer",
        f"{len(facts.customers):,} customers; the busiest has {max(facts.customers.values(), default=0):,} rows",
        [f"{customer!r}: {count:,} rows; a till? leave it out by `skip`" for customer, count in many],
    )  # fmt: skip


def _item(facts: _Facts) -> Verdict:
    total = sum(facts.sold.values())
    (item, count), *_ = facts.sold.most_common(1) or [("", 0)]
    much = len(facts.sold) > 1 and count >= _ITEM_SHARE * total
    found = f"the most sold of {len(facts.sold):,} is {count / max(total, 1):.0%} of all sales"
    samples = [f"{item!r}: {count:,} of {total:,}; a bag, a fee or a default? leave it out by `skip`"] if much else []
    return Verdict(WARN if much else PASS, "one item", found, samples)


def _enough(facts: _Facts) -> Verdict:
    have = {
        "purchases": sum(facts.sold.values()),
        "customers with two orders": sum(len(orders) > 1 for orders in facts.orders.values()),
        "items": len(facts.sold),
    }
    short = [f"{have[name]:,} {name}; want {least:,}" for name, least in _ENOUGH.items() if have[name] < least]
    level = FAIL if not have["purchases"] or not facts.customers else WARN if short else PASS
    return Verdict(level, "enough to train on", ", ".join(f"{count:,} {name}" for name, count in have.items()), short)
