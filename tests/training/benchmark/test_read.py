"""Reading: files as they come, ids as they are, errors that name the file and the column."""

from __future__ import annotations

import datetime as dt
import decimal
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsvc.errors import InvalidRequest
from training.benchmark import times
from training.benchmark.ids import encode
from training.benchmark.read import Column, columns

WANTED = ("customer_id", "item_id")


def _file(folder: Path, content: str | bytes, name: str = "lines.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _column(values: Any, bare: bool = False, where: str = "f: x") -> Column:
    return Column(pa.chunked_array([values]), where, bare)


PLAIN = "customer_id,item_id\n1,a\n2,b\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN, gzip.compress(PLAIN.encode()), "\ufeff" + PLAIN, PLAIN.replace(",", ";"), PLAIN.replace(",", "\t"),
        PLAIN.replace("\n", "\r\n"), 'item_id,"more",customer_id\na,"x,\ny",1\nb,,2\n',
    ],
    ids=["plain", "gzip", "byte order mark", "semicolon", "tab", "windows", "other columns, quotes"],
)  # fmt: skip
def test_csv_as_programs_write_it(tmp_path: Path, content: str | bytes) -> None:
    found = columns(_file(tmp_path, content, "anything"), WANTED)
    assert found["customer_id"].values.to_pylist() == ["1", "2"]
    assert found["item_id"].values.to_pylist() == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("customer_id,item\n1,a\n", "item_id: no such column; did you mean item?"),
        ("a,b\n1,2\n", "customer_id: no such column; there are a, b"),
        ("customer_id,item_id,item_id\n1,2,3\n", "item_id: 2 columns have this name"),
        ("customer_id,item_id\n1,a\n2,\n,c\n", "customer_id: 1 rows without a value, the first is row 3"),
        ("customer_id,item_id\n", "has no rows"),
        ("", "is empty"),
        ("customer_id,item_id\n1,2\n3,4,5\n", "cannot be read as CSV"),
        (b"PAR1 but not really", "cannot be read as Parquet"),
        (b"\x1f\x8b\x08 not really", "cannot be"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: str | bytes, words: str) -> None:
    path = _file(tmp_path, content)
    with pytest.raises(InvalidRequest) as error:
        columns(path, WANTED)
    assert str(path) in error.value.message and words in error.value.message


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "no.csv", tmp_path):
        with pytest.raises(InvalidRequest, match=str(path)):
            columns(path, WANTED)


def test_missing_and_nested_values_in_parquet_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "lines.parquet"
    for values, words in (
        (pa.array([1.0, float("nan")]), "1 rows without a value, the first is row 2"),
        (pa.array([None, "a"]), "1 rows without a value, the first is row 1"),
        (pa.nulls(2), "2 rows without a value"),
        (pa.array([[1], [2]]), "must be a plain value"),
    ):
        pq.write_table(pa.table({"customer_id": [1, 2], "item_id": values}), path)
        with pytest.raises(InvalidRequest) as error:
            columns(path, WANTED)
        assert f"{path}: item_id: " in error.value.message and words in error.value.message


@pytest.mark.parametrize(
    "values",
    [
        pa.array([7, 3, 7], pa.int32()), pa.array([2**62, -5, 0], pa.int64()), pa.array([200, 3, 200], pa.uint8()),
        pa.array(["01", "1", "1.0"]), pa.array(["é", "a", "ü"], pa.large_string()), pa.array([b"\x00", b"\xff", b""]),
        pa.array([1.5, 2.5, -1.0]), pa.array([dt.date(2026, 1, 2), dt.date(2025, 1, 1), dt.date(2026, 1, 2)]),
        pa.array([b"0123456789abcdef", b"fedcba9876543210", b"0123456789abcdef"], pa.binary(16)),
        pa.array([decimal.Decimal("1.10"), decimal.Decimal("1.11"), decimal.Decimal("1.10")]), pa.array([True, False, True]),
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0123456789abcdef", b"fedcba9876543210", b"1" * 16], pa.binary(16))),
    ],
    ids=lambda values: str(values.type),
)  # fmt: skip
def test_ids_of_any_type_come_back_as_they_came(tmp_path: Path, values: Any) -> None:
    pq.write_table(pa.table({"item_id": values}), tmp_path / "ids.parquet")
    read = columns(tmp_path / "ids.parquet", ("item_id",))["item_id"]
    ids, (codes,) = encode(read)
    assert codes.dtype == np.int32 and len(ids) == len(set(values.to_pylist()))
    back = ids.take(codes)
    assert back.type == values.type and back.to_pylist() == values.to_pylist()


def test_ids_of_csv_are_numbers_only_when_all_are_written_as_such() -> None:
    ids, (codes, more) = encode(_column(pa.array(["10", "9"]), bare=True), _column(pa.array(["9", "-1"]), bare=True))
    assert ids.values.type == pa.int64() and ids.values.to_pylist() == [-1, 9, 10]
    assert codes.tolist() == [2, 1] and more.tolist() == [1, 0]
    ids, _ = encode(_column(pa.array(["10", "9"]), bare=True), _column(pa.array(["09"]), bare=True))
    assert ids.values.to_pylist() == ["09", "10", "9"]
    for text in ("+1", "1.0", "1e3", " 1", "-0", "9" * 19):
        assert encode(_column(pa.array([text]), bare=True))[0].values.to_pylist() == [text]


def test_files_of_two_kinds_are_joined_where_their_ids_can_be_compared() -> None:
    csv, numbers = _column(pa.array(["10", "9"]), bare=True, where="a"), _column(pa.array([9], pa.int32()), where="b")
    texts = _column(pa.array(["9"]), where="c")
    assert encode(csv, numbers)[0].values.to_pylist() == [9, 10]
    assert encode(csv, texts)[0].values.to_pylist() == ["10", "9"]
    wide = encode(numbers, _column(pa.array([2**40])))[0]
    assert wide.values.type == pa.int64() and wide.values.to_pylist() == [9, 2**40]
    with pytest.raises(InvalidRequest, match="b is int32, c is string"):
        encode(numbers, texts)


DAY = 86_400


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([dt.date(2026, 11, 21)]), 1_795_219_200),
        (pa.array([dt.datetime(2026, 11, 21, 13)]), 1_795_266_000),
        (pa.array([dt.datetime(2026, 11, 21, 13)], pa.timestamp("ns", "Europe/Bucharest")), 1_795_266_000),
        (pa.array(["2026-11-21"]), 1_795_219_200),
        (pa.array(["2026-11-21 13:00:00.250"]), 1_795_266_000),
        (pa.array(["2026-11-21T15:00:00+02:00"]), 1_795_266_000),
        (pa.array(["2026-11-21T13:00:00Z"]), 1_795_266_000),
        (pa.array([1_795_266_000]), 1_795_266_000),
        (pa.array([1_795_266_000_999]), 1_795_266_000),
        (pa.array([1_795_266_000_999_999]), 1_795_266_000),
        (pa.array([1_795_266_000_999_999_999]), 1_795_266_000),
        (pa.array([1_795_266_000.5]), 1_795_266_000),
        (pa.array(["1795266000"]), 1_795_266_000),
        (pa.array([20261121], pa.int32()), 1_795_219_200),
        (pa.array([365]), 365 * DAY),
    ],
    ids=str,
)  # fmt: skip
def test_times_of_any_usual_type(values: Any, expected: int) -> None:
    assert times.seconds(_column(values)).tolist() == [expected]


def test_times_of_two_ways_in_one_column() -> None:
    mixed = pa.array(["2026-11-21T13:00:00Z", "2026-11-21", "2026-11-21T13:00:00+01:00"])
    assert times.seconds(_column(mixed)).tolist() == [1_795_266_000, 1_795_219_200, 1_795_262_400]


def test_what_is_no_time_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"f: x: '21\.11\.2026' is not a time"):
        times.seconds(_column(pa.array(["2026-11-21", "21.11.2026"])))
    with pytest.raises(InvalidRequest, match="f: x: is bool"):
        times.seconds(_column(pa.array([True])))


@pytest.mark.parametrize(
    ("values", "ordered"),
    [
        (["10", "9", "09"], ["09", "9", "10"]),
        (["2", "10", "x"], ["10", "2", "x"]),
        ([str(2**60 + 1), str(2**60), "5"], ["5", str(2**60), str(2**60 + 1)]),
        (["1.5", "-2", "1e1"], ["-2", "1.5", "1e1"]),
        ([10, 9], [9, 10]),
    ],
)
def test_baskets_go_by_number_also_in_text(values: list[Any], ordered: list[Any]) -> None:
    ids, (codes,) = encode(_column(pa.array(values)))
    places = times.places(ids)[codes]
    assert [values[i] for i in np.argsort(places)] == ordered
