"""Import files as a shop has them: CSV, JSON lines and Parquet, plain, gzip or zstd, folders of them, or a pipe.

Each is read in pieces of raw columns; what they mean is said by `columns`. The format is told from the content:
a name may lie. CSV is read as text, so that no id loses a zero or gains a `.0`. A line that cannot be read at all
is handed on beside the others, with its number and the reason.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from recsvc.artifact import Array
from recsvc.errors import InvalidRequest
from recsvc.intake import shorten
from recsvc.store.maps import File
from recsvc.store.objects import NO_IDS, inner, keys, text, unfolded
from recsvc.store.quotes import swallowed
from recsvc.store.streams import HEAD, PIPE, Source, opened
from recsvc.strict_json import read_json

_ROWS: Final = 50_000
_BLOCK: Final = 4 << 20
_ENDINGS: Final = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")
REJECTS: Final = ".rejects.jsonl"
_DELIMITERS: Final = ",;\t|"


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that is no row: its number and what is wrong. summary: the same for all lines that are wrong so."""

    number: int
    reason: str
    text: str
    summary: str = "is not a line of this file"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a file: raw columns, the number of each row (the first below the header is 1), lines that are none.

    no_ids: column → (rows,) bool, where JSON had what no id is: a number with a decimal point, a truth, an object or a
    list. absent: the same of JSON lines that do not have the field. done: bytes of the file read so far.
    """

    columns: dict[str, Any]
    numbers: Array
    done: int
    broken: list[Broken] = field(default_factory=list)
    no_ids: dict[str, Array] = field(default_factory=dict)
    absent: dict[str, Array] = field(default_factory=dict)

    def line(self, row: int) -> dict[str, Any]:
        """Return a row as the file has it, for a message."""
        return {name: _readable(values[row].as_py()) for name, values in self.columns.items()}


@dataclass(frozen=True, slots=True)
class Head:
    """What the beginning of a file shows: its format (csv, jsonl or parquet), text, encoding, delimiter, columns.
    lines: the map's. blank: empty lines before the header."""

    format: str
    text: str
    encoding: str
    delimiter: str
    columns: list[str]
    lines: str | None = None
    blank: int = 0


def expand(paths: list[Path]) -> list[Path]:
    """Return the files of `paths`, folders replaced by what they hold, in the order of their names.

    Raises:
        InvalidRequest: not there, or a folder without such a file.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [one for one in sorted(path.rglob("*")) if one.is_file() and _importable(path, one)]
            if not inside:
                raise InvalidRequest(f"{path}: holds no {', '.join(_ENDINGS)} file")
            found += inside
        elif path == PIPE or path.exists():
            found.append(path)
        else:
            raise InvalidRequest(f"{path}: there is no such file")
    return found


def size(path: Path) -> int | None:
    """Return the bytes of a file; None for a pipe."""
    return path.stat().st_size if path.is_file() else None


def head(path: Path, file: File) -> Head:
    """Return what the first megabyte of a file shows.

    Raises:
        InvalidRequest: empty, unreadable, or a column stands twice.
    """
    with opened(path) as source:
        return _head(path, file, source)


def pieces(path: Path, file: File, choose: Callable[[Head], set[str]]) -> Iterator[Piece]:
    """Yield the rows of a file.

    Args:
        choose: which columns to read, given what the beginning shows.

    Raises:
        InvalidRequest: cannot be read at all, or from here on.
    """
    try:
        with opened(path) as source:
            start = _head(path, file, source)
            wanted = choose(start)
            missing = sorted(wanted - set(start.columns)) if start.format != "jsonl" else []
            if missing:
                raise InvalidRequest(f"{path}: the column {missing[0]} is missing; it has {', '.join(start.columns)}")
            yield from _READERS[start.format](path, source, start, wanted)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeDecodeError, EOFError) as error:
        raise InvalidRequest(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    except OSError as error:
        raise InvalidRequest(f"{path}: cannot be read: {error}") from None


def _importable(folder: Path, path: Path) -> bool:
    if any(part.startswith((".", "_")) for part in path.relative_to(folder).parts) or path.name.endswith(REJECTS):
        return False
    plain = path.name.lower().removesuffix(".gz").removesuffix(".zst")
    return plain.endswith(_ENDINGS)


def _head(path: Path, file: File, source: Source) -> Head:
    start = source.start
    if not start.strip():
        raise InvalidRequest(f"{path}: is empty")
    if start.startswith(b"PAR1"):
        if path == PIPE or source.compressed:
            raise InvalidRequest(f"{path}: Parquet is read from a plain file, not from a pipe or a compressed file")
        try:
            return Head("parquet", "", "", "", pq.read_schema(path).names)
        except (OSError, pa.ArrowInvalid) as error:
            raise InvalidRequest(f"{path}: cannot be read as Parquet: {error}") from None
    encoding = _encoding(path, file.encoding, start)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(start).removeprefix("\ufeff")
    if text.lstrip()[:1] == "{":
        return Head("jsonl", text, encoding, "", keys(text, file.lines), file.lines)
    if text.lstrip()[:1] == "[":
        raise InvalidRequest(f"{path}: is a JSON array; write one object on each line")
    lines = text.splitlines(keepends=True)
    blank = next(number for number, line in enumerate(lines) if line.strip())
    delimiter = file.delimiter or max(_DELIMITERS, key=lines[blank].count)
    names = next(csv.reader(io.StringIO("".join(lines[blank:])), delimiter=delimiter))
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InvalidRequest(f"{path}: the column {shorten(twice[0])} stands twice in the header")
    return Head("csv", text, encoding, delimiter, names, blank=blank)


def _encoding(path: Path, given: str | None, start: bytes) -> str:
    if given is None:
        marks = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
        given = next((name for mark, name in marks if start.startswith(mark)), "")
    try:
        codecs.getincrementaldecoder(given or "utf-8")("strict").decode(start, final=len(start) < HEAD)
    except LookupError:
        raise InvalidRequest(f"{path}: {shorten(given)} is not an encoding") from None
    except UnicodeDecodeError as error:
        if given and codecs.lookup(given).name == "utf-8":
            return "utf-8"  # a value that is not becomes one bad row
        if given:
            raise InvalidRequest(f"{path}: not {given} at byte {error.start}") from None
        return "cp1252" if not set(start) & {0x81, 0x8D, 0x8F, 0x90, 0x9D} else "latin-1"
    return codecs.lookup(given or "utf-8").name


def _csv(path: Path, source: Source, start: Head, wanted: set[str]) -> Iterator[Piece]:
    broken: list[Broken] = []

    def skip(row: Any) -> str:
        reason = f"has {row.actual_columns} fields, the header has {row.expected_columns}"
        broken.append(Broken(row.number - 1, reason, row.text[:2000]))
        return "skip"

    # Bytes where the file is UTF-8: one bad value is then one bad row, not the end of the file.
    kind = pa.binary() if start.encoding == "utf-8" else pa.string()
    reader = pacsv.open_csv(
        pa.PythonFile(io.BufferedReader(source, _BLOCK), "r"),
        read_options=pacsv.ReadOptions(
            use_threads=False, block_size=_BLOCK, encoding=start.encoding, skip_rows=start.blank
        ),
        parse_options=pacsv.ParseOptions(delimiter=start.delimiter, newlines_in_values=True, invalid_row_handler=skip),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(start.columns, kind), strings_can_be_null=False,
        ),
    )  # fmt: skip
    last = taken = 0
    for batch in reader:
        # The reader is ahead of the batch it hands out: only lines broken up to its last row belong to it.
        numbers = _numbers(last, batch.num_rows, [one.number for one in broken[taken:]])
        last = int(numbers[-1]) if len(numbers) else last
        mine = [one for one in broken[taken:] if one.number <= last]
        taken += len(mine)
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        # All columns are looked at: rows can be swallowed by one that nobody wants.
        columns, numbers, more = _without_swallowed(columns, numbers, start)
        wide = {name: values for name, values in columns.items() if name in wanted}
        yield Piece(wide, numbers, source.done, sorted(mine + more, key=lambda one: one.number))
    if broken[taken:]:
        yield Piece({}, np.empty(0, np.int64), source.done, broken[taken:])


def _without_swallowed(
    columns: dict[str, Any], numbers: Array, start: Head
) -> tuple[dict[str, Any], Array, list[Broken]]:
    """Return the columns and numbers of the rows that are whole, and those that swallowed others as broken lines."""
    found = swallowed(columns, start.columns, start.delimiter)
    if not found:
        return columns, numbers, []
    piece, text = Piece(columns, numbers, 0), "a quote that was not closed has swallowed rows"
    broken = [
        Broken(int(numbers[row]), reason, start.delimiter.join(map(str, piece.line(row).values()))[:2000], text)
        for row, reason in found.items()
    ]
    keep = ~np.isin(np.arange(len(numbers)), list(found))
    return {name: values.filter(pa.array(keep)) for name, values in columns.items()}, numbers[keep], broken


def _numbers(last: int, count: int, broken: list[int]) -> Array:
    """Return the numbers of `count` rows after row `last`, leaving out those of broken lines."""
    numbers = np.arange(last + 1, last + 1 + count + len(broken), dtype=np.int64)
    return numbers[~np.isin(numbers, broken)][:count]


def _jsonl(path: Path, source: Source, start: Head, wanted: set[str]) -> Iterator[Piece]:
    number = 0
    lines = io.BufferedReader(source, _BLOCK)
    while batch := lines.readlines(_BLOCK):
        rows, numbers, broken = [], [], []
        for raw in batch:
            number += 1
            try:
                line = raw if start.encoding == "utf-8" else raw.decode(start.encoding).encode("utf-8")
                if not (line := line.removeprefix(codecs.BOM_UTF8).strip()):
                    continue
                value = read_json(line)
                if not isinstance(value, dict):
                    raise InvalidRequest("body: must be an object")
                parts = unfolded(value, start.lines)
            except (InvalidRequest, UnicodeDecodeError) as error:
                broken.append(Broken(number, str(error).removeprefix("body: "), raw.decode("utf-8", "replace")[:2000]))
                continue
            rows += parts
            numbers += [number] * len(parts)
        names = sorted(wanted)
        deep = [name for name in names if "." in name]
        if deep:
            rows = [{**inner(row), **row} for row in rows]
        columns = {name: pa.array([text(row.get(name)) for row in rows], pa.string()) for name in names}
        no_ids = {name: np.array([isinstance(row.get(name), NO_IDS) for row in rows], bool) for name in names}
        absent = {name: np.array([name not in row for row in rows], bool) for name in names}
        yield Piece(columns, np.array(numbers, np.int64), source.done, broken, no_ids, absent)


def _readable(value: Any) -> Any:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _parquet(path: Path, source: Source, start: Head, wanted: set[str]) -> Iterator[Piece]:
    opened, done = pq.ParquetFile(path), 0
    names = [name for name in start.columns if name in wanted]
    for batch in opened.iter_batches(batch_size=_ROWS, columns=names):
        numbers = np.arange(done + 1, done + 1 + batch.num_rows, dtype=np.int64)
        done += batch.num_rows
        part = int(path.stat().st_size * done / max(opened.metadata.num_rows, 1))
        yield Piece(dict(zip(batch.schema.names, batch.columns, strict=True)), numbers, part)


_Reader = Callable[[Path, Source, Head, set[str]], Iterator[Piece]]
_READERS: Final[dict[str, _Reader]] = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}
