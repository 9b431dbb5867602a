"""The one parser, over a table of nasty values; and the vectorised check of files says the same."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsvc import intake
from recsvc.flows import imports
from recsvc.store.maps import Map

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GOOD_IDS = ["1", "01", "1.0", "a/b", "a b", "%2F", "é", "😀", "x" * 256, "null", "-", "..."]
BAD_IDS = ["", "x" * 257, "é" * 129, "a\x00b", "a\nb", "\x7f", "\x85", ".", ".."]


@pytest.mark.parametrize("value", GOOD_IDS)
def test_an_id_is_kept_as_it_is(value: str) -> None:
    assert intake.identifier(value) == value


@pytest.mark.parametrize("value", [*BAD_IDS, "\ud800", 1, 1.0, True, None, ["a"]])
def test_a_bad_id_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        intake.identifier(value)


def _write_parquet(path: Path, columns: dict[str, list[Any]]) -> None:
    pq.write_table(pa.table(columns), path)


def _write_csv(path: Path, columns: dict[str, list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _write_jsonl(path: Path, columns: dict[str, list[Any]]) -> None:
    rows = [dict(zip(columns, one, strict=True)) for one in zip(*columns.values(), strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


WRITERS = {"parquet": _write_parquet, "csv": _write_csv, "jsonl": _write_jsonl}


def _checked(noun: str, path: Path) -> tuple[dict[int, str], dict[str, list[Any]]]:
    """row → why it is refused, and the columns."""
    refused, columns = {}, dict[str, list[Any]]()
    for checked in imports.read(noun, path, Map(), NOW):
        refused |= {int(checked.piece.numbers[row]): reason for row, (_, _, reason) in checked.wrong.rows.items()}
        for name, values in checked.columns.items():
            columns.setdefault(name, []).extend(values.to_pylist())
    return refused, columns


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize("value", GOOD_IDS + BAD_IDS)
def test_files_and_the_api_judge_ids_alike(value: str, format: str, tmp_path: Path) -> None:
    path = tmp_path / f"customers.{format}"
    WRITERS[format](path, {"customer_id": ["before", value]})
    refused, columns = _checked("customers", path)
    if value in GOOD_IDS:
        assert not refused and columns["customer_id"] == ["before", value]
    elif value == "" and format != "parquet":
        assert refused == {2: "is empty"}
    else:
        with pytest.raises(ValueError) as error:
            intake.identifier(value)
        assert refused == {2: "is empty" if value == "" else str(error.value)}


TIMES = [
    "2026-11-21T10:00:00Z", "2026-11-21T12:00:00+02:00", "2026-11-21 10:00:00.25Z", "2026-11-21T12:10:01Z",
    "1970-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "yesterday", "２026-11-21T10:00:00Z", "1989-12-31T23:59:59Z",
    "2026-11-21T12:10:00Z", "2026-11-21T25:00:00Z", "2026-11-21T10:00:00", "9999-12-31T23:59:59-12:00",
]  # fmt: skip


def _judged(value: Any) -> datetime | None:
    try:
        return intake.moment(value, NOW)
    except ValueError:
        return None


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize("value", TIMES)
def test_files_and_the_api_judge_times_alike(value: str, format: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{format}"
    row = {"customer_id": ["c"], "kind": ["store_visit"], "occurred_at": [value]}
    WRITERS[format](path, row)
    refused, columns = _checked("interactions", path)
    wanted = _judged(value)
    assert (not refused) == (wanted is not None)
    assert wanted is None or columns["occurred_at"] == [round(wanted.timestamp() * 1e6)]


@pytest.mark.parametrize(
    "at",
    [
        NOW,
        NOW + intake.AHEAD,
        NOW + intake.AHEAD + timedelta(seconds=1),
        intake.EARLIEST,
        datetime(1989, 1, 1, tzinfo=UTC),
    ],
)
def test_typed_times_are_judged_like_text(at: datetime, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    _write_parquet(path, {"customer_id": ["c"], "kind": ["store_visit"], "occurred_at": [at]})
    assert (not _checked("interactions", path)[0]) == (_judged(at) is not None)


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize(
    "value", ["0", "5", "101", "-1", "1.0", "１２", "1e2", "1_0", "0x1", "9" * 30, str(2**53), "NaN", " 1"]
)
def test_numbers_of_files_are_numbers_or_refused(value: str, format: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{format}"
    WRITERS[format](path, {"item_id": ["a"], "title": ["t"], "price_cents": [value]})
    refused, columns = _checked("items", path)
    good = {"0": 0, "5": 5, "101": 101, "1.0": 1, " 1": 1}
    assert (columns["price_cents"] == [good[value]]) if value in good else (list(refused) == [1])


ZONE = ZoneInfo("Europe/Bucharest")


@pytest.mark.parametrize(
    ("text", "order", "wanted"),
    [
        ("12/1/2010 8:26", "mdy", "2010-12-01T06:26:00"), ("12/1/2010 8:26", "dmy", "2010-01-12T06:26:00"),
        ("01.12.2010 08:26", "dmy", "2010-12-01T06:26:00"), ("1/12/10 8:26 PM", "dmy", "2010-12-01T18:26:00"),
        ("2010-07-01", "dmy", "2010-06-30T21:00:00"), ("2010-12-01T08:26:00Z", "dmy", "2010-12-01T08:26:00"),
        ("1291191960", "ymd", "2010-12-01T08:26:00"), ("1291191960500", "ymd", "2010-12-01T08:26:00.500000"),
        ("2010-10-31 03:30:00", "ymd", "2010-10-31T00:30:00"),  # stands twice; the first
        ("12/1/2010 12:00 AM", "mdy", "2010-11-30T22:00:00"), ("1-Dec-2010", "ymd", "2010-11-30T22:00:00"),
        ("Dec 1, 2010 8:26 AM", "mdy", "2010-12-01T06:26:00"), ("Wed, 01 Dec 2010 08:26:00 +0000", "dmy", "2010-12-01T08:26:00"),
        ("1 December 2010 08:26", "dmy", "2010-12-01T06:26:00"),
    ],
)  # fmt: skip
def test_the_usual_dates_of_files(text: str, order: str, wanted: str) -> None:
    assert intake.local_moment(text, order, ZONE, NOW) == datetime.fromisoformat(wanted).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "13/13/2010",
        "1/12/2010 25:00",
        "2010-1",
        "1/2-2010",
        "1/2/201",
        "0/1/2010",
        "1/1/2010 13:00 PM",
        "",
        "1-Dez-2010",
        "31-Jun-2010",
        "Junk 1, 2010",
    ],
)
def test_a_bad_date_of_a_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        intake.local_moment(text, "dmy", ZONE, NOW)


def test_a_time_without_a_zone_names_the_option() -> None:
    with pytest.raises(ValueError, match="--time-zone"):
        intake.local_moment("2010-12-01 08:26", "ymd", None, NOW)


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "wanted"),
    [
        ("1,234.56", ".", ",", "1234.56"), ("1.234,56", ",", ".", "1234.56"), ("£2.55", ".", "", "2.55"), ("-$4.50", ".", "", "-4.50"),

        ("-3", ".", "", "-3"), ("1.234.567", ",", ".", "1234567"), ("12,34.5", ".", ",", None), ("1.5", ",", "", None),
        ("1e5", ".", "", None), ("", ".", "", None), ("１", ".", "", None), ("(1.50)", ".", "", None), ("nan", ".", "", None),
    ],
)  # fmt: skip
def test_numbers_as_shops_write_them(text: str, decimal: str, thousands: str, wanted: str | None) -> None:
    if wanted is not None:
        assert intake.number(text, decimal, thousands) == Decimal(wanted)
        return
    with pytest.raises(ValueError):
        intake.number(text, decimal, thousands)


@pytest.mark.parametrize(
    ("value", "epoch"),
    [
        ("2026-11-21T10:00:00Z", 1795255200), ("2026-11-21T12:00:00+02:00", 1795255200), (1795255200, 1795255200),
        (1795255200.5, 1795255200.5), ("2026-11-21 10:00:00.25Z", 1795255200.25),
    ],
)  # fmt: skip
def test_a_moment_is_read(value: Any, epoch: float) -> None:
    assert intake.moment(value, NOW).timestamp() == epoch


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-21", "2026-11-21T10:00:00", "yesterday", "", True, None, -1, 1e300, float("nan"), "2026-02-30T00:00:00Z",
        "1970-01-01T00:00:00Z", "2026-11-21T12:10:01Z", "２026-11-21T10:00:00Z", [], datetime(2026, 1, 1),
    ],
)  # fmt: skip
def test_a_bad_moment_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        intake.moment(value, NOW)


@pytest.mark.parametrize("text", ["１２３", "1_0", "0x1", "1.0", "1e2", "", " 1", "+1", "101", "0", "-1", "9" * 30])
def test_a_bad_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole number from 1 to 100"):
        intake.integer(text, 1, 100)
