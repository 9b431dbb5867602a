"""Validate: each question has files that fail it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsvc.errors import InvalidRequest
from recsvc.flows.verdicts import Verdict, validate
from recsvc.store.maps import Map

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
Row = tuple[str, str, str, str]
ROWS: list[Row] = [
    (f"c{n % 60}", f"i{n % 25}", (NOW - timedelta(hours=n)).isoformat(), f"o{n}") for n in range(1, 1501)
]  # fmt: skip


def _validate(*paths: Path, known: frozenset[str] = frozenset(f"i{n}" for n in range(25))) -> dict[str, Verdict]:
    found = validate(list(paths), Map(), set(known), NOW, lambda rows, done, total: None)
    return {one.what: one for one in found}


def _write(path: Path, rows: list[Row]) -> Path:
    lines = [f"{customer},{item},purchase,{at},{order}\n" for customer, item, at, order in rows]
    path.write_text("customer_id,item_id,kind,occurred_at,order_id\n" + "".join(lines))
    return path


def test_a_sound_file_passes_all(tmp_path: Path) -> None:
    found = _validate(_write(tmp_path / "x.csv", ROWS))
    assert {one.level for one in found.values()} == {"PASS"} and len(found) == 7
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


@pytest.mark.parametrize(
    ("spoil", "what", "level", "words"),
    [
        (lambda r: [*r[:-1], (*r[0][:2], "2030-01-01T00:00:00Z", "o")], "rows", "WARN", "ahead of the server"),
        (lambda r: [(one[0], "", *one[2:]) for one in r], "rows", "FAIL", "a purchase needs item_id"),
        (lambda r: r + r[:50], "equal lines", "WARN", "row 1501: c1, i1"),
        (lambda r: [(c, "bag" if n % 3 else i, *m) for n, (c, i, *m) in enumerate(r)], "one item", "WARN", "'bag': 1,000 of 1,500"),
        (lambda r: [("till" if n % 3 else c, *m) for n, (c, *m) in enumerate(r)], "one customer", "WARN", "'till': 1,000 rows"),
        (lambda r: r[:30], "enough to train on", "WARN", "30 purchases; want 1,000"),
        (lambda r: [("", *m) for _, *m in r], "enough to train on", "FAIL", "0 customers with two orders"),
        (lambda r: r[1000:], "dates", "WARN", "the newest is 42 days old"),
        (lambda r: [*r[:100], *r[1000:]], "dates", "WARN", "nothing for 38 days after"),
        (lambda r: [*r[:-1], ("c", "odd", *r[0][2:])], "unknown items", "WARN", "odd: 1 rows"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_rows(
    tmp_path: Path, spoil: Callable[[list[Row]], list[Row]], what: str, level: str, words: str
) -> None:
    one = _validate(_write(tmp_path / "x.csv", spoil(ROWS)))[what]
    assert one.level == level and words in " | ".join(one.samples)


def test_one_customer_with_a_hundred_thousand_rows_is_named(tmp_path: Path) -> None:
    rows = ROWS * 300
    rows += [("till", *row[1:]) for row in ROWS * 67]
    one = _validate(_write(tmp_path / "x.csv", rows))["one customer"]
    assert one.level == "WARN" and one.samples[0].startswith("'till': 100,500 rows")


def test_the_catalogue_may_be_among_the_files(tmp_path: Path) -> None:
    lines, items = _write(tmp_path / "lines.csv", ROWS), tmp_path / "items.csv"
    items.write_text("item_id,title\n" + "".join(f"i{n},Title\n" for n in range(24)))
    assert _validate(lines, known=frozenset())["unknown items"].level == "FAIL"
    for order in ((lines, items), (items, lines)):
        assert _validate(*order, known=frozenset())["unknown items"].samples == ["i24: 60 rows"]


def test_what_is_of_no_noun_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidRequest, match="is none of items"):
        _validate(tmp_path / "x.csv")
