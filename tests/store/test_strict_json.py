"""JSON, strictly: what is refused by name, and what no caller can break."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsvc import strict_json
from recsvc.errors import InvalidRequest
from recsvc.strict_json import elements, read_json


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
        read_json(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20,
)  # fmt: skip


@given(json_values)
def test_good_json_is_read_as_it_is(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    try:
        read_json(body)
    except InvalidRequest as error:
        assert error.message


def test_brackets_in_a_string_are_not_depth() -> None:
    assert read_json(json.dumps({"a": "[" * 500 + '"' + "{" * 500}).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 32 + b"]" * 32, b"[" * 33 + b"]" * 33, b'{"a":' * 33 + b"1" + b"}" * 33, b'["' + b"[" * 99 + b'"]',
        b'["' + b"]" * 99 + b'",' + b"[" * 40 + b"]" * 40 + b"]", b'["\\"' + b"[" * 40 + b'"]', b"[{}," * 20 + b"1" + b"]" * 20,
        b'["\\\\",' + b"[" * 40 + b"]" * 40 + b"]",
    ],
)  # fmt: skip
def test_the_quick_look_at_the_depth_agrees_with_the_count(body: bytes) -> None:
    """Brackets in strings, escapes: what the quick look passes is no deeper than 32, and what is deeper is refused."""
    assert not strict_json._shallow(body) or strict_json._depth(body) <= strict_json.MAX_DEPTH
    deep = strict_json._depth(body) > strict_json.MAX_DEPTH
    if deep:
        with pytest.raises(InvalidRequest, match="nested deeper"):
            read_json(body)
    else:
        assert read_json(body) is not None


@given(
    st.recursive(
        st.text('[]{}\\"a', max_size=4),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text('[{\\"'), inner, max_size=2),
        max_leaves=40,
    )
)
def test_no_text_makes_the_quick_look_wrong(value: object) -> None:
    body = json.dumps(value).encode()
    assert not strict_json._shallow(body) or strict_json._depth(body) <= strict_json.MAX_DEPTH


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b' [ {"a":1,"a":2} , "\\ud800", NaN ] ', [b'{"a":1,"a":2}', b'"\\ud800"', b"NaN"]), (b"[[1, 2],3]", [b"[1, 2]", b"3"]),
        (b"{}", None), (b"[1,]", None), (b"[1", None), (b"[1] 2", None), (b"[1 2]", None), (b"", None), (b"[" * 100_000, None),
        (b"\xff", None), (b'["\xff", 1]', [b'"\xff"', b"1"]), (b"[" + b"9" * 5000 + b",1]", [b"9" * 5000, b"1"]),
    ],
)  # fmt: skip
def test_the_elements_of_an_array_that_is_not_all_strict(body: bytes, found: list[bytes] | None) -> None:
    assert elements(body) == found


@given(st.lists(json_values, min_size=1, max_size=5))
def test_the_elements_of_an_array_are_what_it_holds(values: list[Any]) -> None:
    assert [read_json(one) for one in elements(json.dumps(values).encode()) or []] == values
