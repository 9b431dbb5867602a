"""The one parser, over a table of nasty values; and the vectorised check of files says the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsvc import intake
from recsvc.errors import InvalidRequest
from recsvc.store import files

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


@pytest.mark.parametrize("value", GOOD_IDS + BAD_IDS)
def test_files_and_the_api_judge_ids_alike(value: str, tmp_path: Path) -> None:
    path = tmp_path / "customers.parquet"
    pq.write_table(pa.table({"customer_id": pa.array(["before", value])}), path)
    if value in GOOD_IDS:
        assert [row["customer_id"] for chunk in files.rows("customers", path) for row in chunk] == ["before", value]
    else:
        with pytest.raises(InvalidRequest, match="column customer_id: row 2"):
            list(files.rows("customers", path))


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


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b'{"a":1,"a":2}', "twice"), (b'{"a":NaN}', "NaN"), (b'{"a":-Infinity}', "Infinity"), (b'{"a":1e999}', "range"),
        (b"[" * 100_000, "deeper"), (b'{"a":' * 33 + b"1" + b"}" * 33, "deeper"), (b'"\\ud800"', "surrogate"),
        (b"\xff", "UTF-8"), (b"", "not JSON"), (b"{", "not JSON"), (b"{} {}", "not JSON"), (b"1" * 5000, "not JSON"),
    ],
)  # fmt: skip
def test_bad_json_is_refused_by_name(body: bytes, word: str) -> None:
    with pytest.raises(InvalidRequest, match=word):
        intake.read_json(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20,
)  # fmt: skip


@given(json_values)
def test_good_json_is_read_as_it_is(value: Any) -> None:
    assert intake.read_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    try:
        intake.read_json(body)
    except InvalidRequest as error:
        assert error.message


def test_brackets_in_a_string_are_not_depth() -> None:
    assert intake.read_json(json.dumps({"a": "[" * 500 + '"' + "{" * 500}).encode())
