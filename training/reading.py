"""Reading: the history that training learns from, from wherever `source` in the configuration says.

Whatever the source, the rows pass the same checks as those of an import and become the same log, so models of one
history are equal. The catalogue, segments and who wants no profile come from the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from recsvc.artifact import Array
from recsvc.errors import InvalidRequest
from recsvc.intake import digest
from recsvc.store import columns, files, lines, maps
from recsvc.store.customers import customers
from recsvc.store.files import Piece
from recsvc.store.values import Sheet
from training import queries
from training.config import Config, Source
from training.sources import Log, from_store, from_table

NOUN = "interactions"
# The columns of `sources.from_table`, and what stands for nothing in them.
_TAKEN: dict[str, Any] = {
    "customer_id": pa.string(), "item_id": pa.string(), "kind": pa.string(), "occurred_at": pa.int64(),
    "stars": pa.int64(), "reason": pa.string(), "order_id": pa.string(), "quantity": pa.int64(),
    "channel": pa.string(), "subject": pa.string(),
}  # fmt: skip
Checked = tuple[Piece, dict[str, Any], Array]


def log_of(engine: sa.Engine, config: Config, up_to: int, progress: Callable[[int], None]) -> Log:
    """Return the interactions of the configured source; of the store up to a revision.

    Raises:
        InvalidRequest: the source cannot be read; names the file, column or query.
    """
    if config.source.origin == "store":
        return from_store(engine, config.weights, up_to, progress)
    parts, done = [], 0
    unprofiled = pa.array(_unprofiled(engine), pa.string())
    for piece, found, keep in _READERS[config.source.origin](config.source):
        done += len(piece.numbers)
        parts.append(_batch(found, keep, unprofiled, len(piece.numbers)))
        progress(done)
    if not parts or not sum(part.num_rows for part in parts):
        raise InvalidRequest(f"source: from: {config.source.origin}: holds no interaction with an item")
    return from_table(pa.Table.from_batches(parts), config.weights)


def _batch(found: dict[str, Any], keep: Array, unprofiled: pa.Array, count: int) -> pa.RecordBatch:
    """Return the kept rows with an item, of customers who want a profile, in the columns of a log."""
    there = {name: found.get(name, pa.nulls(count, kind)).cast(kind) for name, kind in _TAKEN.items()}
    mask = keep & pc.is_valid(there["item_id"]).to_numpy(zero_copy_only=False)
    mask &= ~pc.is_in(there["customer_id"], unprofiled).to_numpy(zero_copy_only=False)
    return pa.RecordBatch.from_pydict({name: values.filter(pa.array(mask)) for name, values in there.items()})


def _unprofiled(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(sa.select(customers.c.customer_id).where(customers.c.profiling.is_(False))))


def _files(source: Source) -> Iterator[Checked]:
    """Yield what an import of the files would take: of equal interactions the first, by id or by all they say."""
    a_map = maps.load(Path(source.map), columns.COLUMNS) if source.map else maps.Map()
    seen: set[bytes] = set()
    for path in files.expand([Path(one) for one in source.files]):
        ordinals = lines.Ordinals()
        for piece, form in columns.read(NOUN, path, _in_zone(a_map, source), datetime.now(UTC)):
            found, keep = _checked(piece, form, source, str(path))
            digests = lines.digests(found, keep, ordinals)
            yield piece, found, _first(keep, digests, seen)


def _parquet(source: Source) -> Iterator[Checked]:
    """Yield the rows of a folder of Parquet, piece by piece; of equal `interaction_id`s the first counts."""
    folder = Path(source.folder or "")
    if not folder.is_dir():
        raise InvalidRequest(f"source.folder: {folder}: is not a folder")
    paths = sorted(one for one in folder.rglob("*.parquet") if one.is_file())
    if not paths:
        raise InvalidRequest(f"source.folder: {folder}: holds no .parquet file")
    seen: set[bytes] = set()
    for path in paths:
        for piece, form in columns.read(NOUN, path, _in_zone(maps.Map(), source), datetime.now(UTC)):
            found, keep = _checked(piece, form, source, str(path))
            yield piece, found, _once(found, keep, seen)


def _sql(source: Source) -> Iterator[Checked]:
    """Yield the rows of the query, piece by piece; of equal `interaction_id`s the first counts."""
    where = f"source.queries.{NOUN}"
    seen: set[bytes] = set()
    form: Sheet | None = None
    for piece in queries.pieces(source.url or "", where, source.queries[NOUN]):
        if form is None:
            head = files.Head("parquet", "", "", "", list(piece.columns))
            form = columns.sheet(NOUN, _in_zone(maps.Map(), source), head, where, datetime.now(UTC))
        found, keep = _checked(piece, form, source, where)
        yield piece, found, _once(found, keep, seen)


def _in_zone(a_map: maps.Map, source: Source) -> maps.Map:
    try:
        return a_map.in_zone(source.time_zone)
    except InvalidRequest as error:
        raise InvalidRequest(error.message.replace("--time-zone", "source.time_zone")) from None


def _checked(piece: Piece, form: Sheet, source: Source, where: str) -> tuple[dict[str, Any], Array]:
    """Return the columns after the checks of an import, and (rows,) bool: what is taken."""
    try:
        found, wrong, left_out = columns.check(piece, form)
    except InvalidRequest as error:
        raise InvalidRequest(f"{where}: {error.message}") from None
    found, corrections = lines.checked(found, form.map.returns, wrong)
    keep = ~(left_out | corrections)
    bad = [row for row in sorted(wrong.rows) if keep[row]]
    keep[bad] = False
    if source.bad_rows == "refuse" and (bad or piece.broken):
        raise InvalidRequest(f"{where}: {_first_bad(piece, bad, wrong.rows)}; `source.bad_rows: leave_out` goes on")
    return found, keep


def _first_bad(piece: Piece, bad: list[int], rows: dict[int, tuple[str, str | None, str]]) -> str:
    if not bad:
        return f"row {piece.broken[0].number}: {piece.broken[0].reason}"
    column, value, reason = rows[bad[0]]
    told = reason if value is None or value in reason else f"{value!r} {reason}"
    return f"row {int(piece.numbers[bad[0]])}: {column}: {told}"


def _once(found: dict[str, Any], keep: Array, seen: set[bytes]) -> Array:
    if "interaction_id" not in found:
        return keep
    named = keep & pc.is_valid(found["interaction_id"]).to_numpy(zero_copy_only=False)
    names = found["interaction_id"].filter(pa.array(named)).to_pylist()
    nameless: Array = keep & ~named
    return nameless | _first(named, [digest(name) for name in names], seen)


def _first(keep: Array, digests: list[bytes], seen: set[bytes]) -> Array:
    """Return `keep` without the rows whose digest, one for each kept row, was seen before."""
    fresh = np.zeros(len(digests), bool)
    for place, one in enumerate(digests):
        if one not in seen:
            seen.add(one)
            fresh[place] = True
    out = keep.copy()
    out[keep] = fresh
    return out


_READERS: dict[str, Callable[[Source], Iterator[Checked]]] = {"files": _files, "parquet": _parquet, "sql": _sql}
