"""Orders whose first line alone says who and when: the lines below it take that from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsvc.artifact import Array
from recsvc.store.files import Piece
from recsvc.store.maps import Fill


class Filler:
    """Fills the pieces of one file, in their order: an order may begin in one piece and end in the next."""

    def __init__(self, fill: Fill) -> None:
        self._by, self._names = fill.by, fill.columns
        self._last: dict[str, Any] = {}

    def filled(self, piece: Piece) -> Piece:
        """Return the piece with what its lines take from the first line of their order.

        An order begins where the column `by` says something else than on the line above; nothing goes on.
        """
        if not len(piece.numbers):
            return piece
        orders = _null_if_empty(piece.columns[self._by])
        orders = pc.fill_null_forward(pa.concat_arrays([self._carried(self._by, orders.type), orders]))
        codes = orders.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
        begins = np.concatenate([[True], codes[1:] != codes[:-1]])
        first = np.maximum.accumulate(np.where(begins, np.arange(len(codes)), 0))
        columns = {**piece.columns, self._by: orders[1:]}
        for name in self._names:
            columns[name] = self._below(name, piece.columns[name], first)
        self._last[self._by] = orders[-1].as_py()
        absent = {name: rows for name, rows in piece.absent.items() if name not in {self._by, *self._names}}
        return Piece(columns, piece.numbers, piece.done, piece.broken, piece.no_ids, absent)

    def _below(self, name: str, values: Any, first: Array) -> Any:
        values = _null_if_empty(values)
        values = pa.concat_arrays([self._carried(name, values.type), values])
        heads = values.take(pa.array(first))
        self._last[name] = heads[-1].as_py()
        return pc.coalesce(values, heads)[1:]

    def _carried(self, name: str, kind: Any) -> Any:
        return pa.array([self._last.get(name)], kind)


def _null_if_empty(values: Any) -> Any:
    if not (pa.types.is_string(values.type) or pa.types.is_binary(values.type)):
        return values
    return pc.if_else(pc.equal(pc.binary_length(values), 0), pa.scalar(None, values.type), values)
