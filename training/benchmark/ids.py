"""Ids: values of any type become codes, and codes become the same values of the same type again.

Codes follow the order of the values, not of the rows, so the order of a file's rows changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsvc.artifact import Array
from recsvc.errors import InvalidRequest
from training.benchmark.read import Column

# As whole numbers are written by every program; "01" and "+1" are not, and stay text.
_WHOLE = r"^(0|-?[1-9][0-9]{0,17})$"
_TEXTS = (pa.types.is_string, pa.types.is_large_string)
_BYTES = (pa.types.is_binary, pa.types.is_large_binary)


@dataclass(frozen=True, slots=True)
class Ids:
    """The distinct values of a column.

    values: pyarrow Array, ascending; a code is a position in it. type: as which they are given back, which differs
    from `values.type` for extension types such as UUIDs.
    """

    values: Any
    type: Any

    def __len__(self) -> int:
        return len(self.values)

    def take(self, codes: Array) -> Any:
        """Return the pyarrow array of the values of codes, (m,) int, in the type they came in."""
        found = self.values.take(pa.array(codes))
        if isinstance(self.type, pa.BaseExtensionType):
            return pa.ExtensionArray.from_storage(self.type, found)
        return found


def encode(*columns: Column) -> tuple[Ids, list[Array]]:
    """Return the distinct values of columns that hold the same ids, and each column's codes, (rows,) int32.

    CSV columns become int64 when all of them hold nothing but whole numbers without leading zeros, so that what a
    program reads from the CSV by itself equals what comes back; else they stay text. Integers of several widths
    become the widest.

    Raises:
        InvalidRequest: the columns are of types that cannot be compared; names both.
    """
    encoded = [_dictionary(column.values) for column in columns]
    distinct = [one.dictionary for one in encoded]
    bare = [column.bare for column in columns]
    if any(bare) and not any(_is_text(one) for one, text in zip(distinct, bare, strict=True) if not text):
        distinct = _whole(distinct, bare)
    wanted = distinct[0].type
    for one, column in zip(distinct[1:], columns[1:], strict=True):
        wanted = _wider(wanted, one.type, columns[0].where, column.where)
    distinct = [one.cast(wanted) for one in distinct]
    values = pc.unique(pa.chunked_array(distinct))
    values = values.take(pc.sort_indices(values))
    codes = []
    for column, one in zip(encoded, distinct, strict=True):
        place = pc.index_in(one, value_set=values).to_numpy().astype(np.int32)
        codes.append(place[column.indices.to_numpy()])
    given = columns[0].values.type
    return Ids(values, given if isinstance(given, pa.BaseExtensionType) else wanted), codes


def whole_numbers(texts: Any) -> bool:
    """Return whether a pyarrow array of text holds nothing but whole numbers as programs write them."""
    return bool(pc.all(pc.match_substring_regex(texts, _WHOLE)).as_py())


def _dictionary(values: Any) -> Any:
    if isinstance(values.type, pa.BaseExtensionType):
        values = pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)
    found = values.dictionary_encode().combine_chunks()
    return found.chunk(0) if isinstance(found, pa.ChunkedArray) else found


def _is_text(values: Any) -> bool:
    return any(is_one(values.type) for is_one in _TEXTS)


def _whole(distinct: list[Any], bare: list[bool]) -> list[Any]:
    if not all(whole_numbers(one) for one, text in zip(distinct, bare, strict=True) if text):
        return distinct
    return [one.cast(pa.int64()) if text else one for one, text in zip(distinct, bare, strict=True)]


def _wider(one: Any, other: Any, where: str, elsewhere: str) -> Any:
    """Return the type that holds the values of both types exactly."""
    if one == other:
        return one
    if pa.types.is_integer(one) and pa.types.is_integer(other):
        if pa.types.is_signed_integer(one) == pa.types.is_signed_integer(other):
            return max(one, other, key=lambda kind: kind.bit_width)
        if pa.uint64() not in (one, other):
            return pa.int64()
    if pa.types.is_floating(one) and pa.types.is_floating(other):
        return pa.float64()
    for family, wide in ((_TEXTS, pa.large_string()), (_BYTES, pa.large_binary())):
        if all(any(is_one(kind) for is_one in family) for kind in (one, other)):
            return wide
    raise InvalidRequest(f"{where} is {one}, {elsewhere} is {other}: cannot tell which ids are equal")
