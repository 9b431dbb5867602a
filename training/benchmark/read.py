"""Reading: the columns of a Parquet or CSV file, as they are.

What a file is, is told by its first bytes, not by its name. CSV is read as text: `ids` decides later, and for all
files together, whether a column of text holds whole numbers.
"""

from __future__ import annotations

import csv
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from recsvc.errors import InvalidRequest

_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_DELIMITERS = ",;\t|"
_HEAD_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Column:
    """One column of one file.

    values: a pyarrow ChunkedArray of a plain type, without nulls and empty texts. where: "file: column", for errors.
    bare: from CSV, so text only because CSV knows no types.
    """

    values: Any
    where: str
    bare: bool


def columns(path: Path, wanted: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Column]:
    """Return the wanted columns of a Parquet or CSV file (also compressed by gzip or zstd), and the optional ones
    that are there.

    Raises:
        InvalidRequest: no such file, neither Parquet nor CSV, a column is missing, of a nested type or has rows
            without a value, or there is no row. The message names the file and the column.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
        parquet = head == b"PAR1"
        table = _parquet(path, wanted, optional) if parquet else _csv(path, head, wanted, optional)
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror or error}") from None
    except pa.ArrowException as error:
        raise InvalidRequest(f"{path}: cannot be read as {'Parquet' if parquet else 'CSV'}: {_short(error)}") from None
    if not table.num_rows:
        raise InvalidRequest(f"{path}: has no rows")
    found = {name: Column(table[name], f"{path}: {name}", not parquet) for name in table.column_names}
    for one in found.values():
        _refuse_missing(one)
    return found


def _parquet(path: Path, wanted: tuple[str, ...], optional: tuple[str, ...]) -> Any:
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        table = file.read(_present(path, schema.names, wanted, optional))
    for position, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        kind = column.type
        if pa.types.is_nested(kind):
            raise InvalidRequest(f"{path}: {name}: is {kind}, must be a plain value")
        if pa.types.is_dictionary(kind):
            table = table.set_column(position, name, column.cast(kind.value_type))
    return table


def _csv(path: Path, head: bytes, wanted: tuple[str, ...], optional: tuple[str, ...]) -> Any:
    packed = next((name for magic, name in _PACKED.items() if head.startswith(magic)), None)
    with pa.input_stream(str(path), compression=packed) as stream:
        try:
            first = stream.read(_HEAD_BYTES).decode("utf-8-sig", "ignore").splitlines()
        except OSError as error:
            raise InvalidRequest(f"{path}: cannot be unpacked: {_short(error)}") from None
    if not first:
        raise InvalidRequest(f"{path}: is empty")
    delimiter = max(_DELIMITERS, key=first[0].count)
    names = _present(path, next(csv.reader(first[:1], delimiter=delimiter)), wanted, optional)
    with pa.input_stream(str(path), compression=packed) as stream:
        return pa_csv.read_csv(
            stream,
            parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                include_columns=names, column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )


def _present(path: Path, there: list[str], wanted: tuple[str, ...], optional: tuple[str, ...]) -> list[str]:
    for name in wanted:
        if name not in there:
            close = difflib.get_close_matches(name, there, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(there[:20])}"
            raise InvalidRequest(f"{path}: {name}: no such column; {hint}")
        if there.count(name) > 1:
            raise InvalidRequest(f"{path}: {name}: {there.count(name)} columns have this name")
    return [*wanted, *(name for name in optional if name in there)]


def _refuse_missing(column: Column) -> None:
    values = column.values
    if isinstance(values.type, pa.BaseExtensionType):
        values = pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)
    missing = pc.is_null(values, nan_is_null=True)
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        missing = pc.or_kleene(missing, pc.equal(values, ""))
    count = pc.sum(missing).as_py()
    if count:
        row = pc.index(missing, pa.scalar(True)).as_py() + 1
        raise InvalidRequest(f"{column.where}: {count:,} rows without a value, the first is row {row:,}")


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
