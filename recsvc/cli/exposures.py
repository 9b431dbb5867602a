"""`recsvc exposures`: which items were shown to whom, for analysis."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
import typer

from recsvc import intake
from recsvc.errors import InvalidRequest
from recsvc.flows import exposures as flow
from recsvc.settings import load

_TOGETHER = 50_000


def exposures(
    since: Annotated[str, typer.Option(help="Only from this moment on, as 2026-11-21T10:00:00Z or 2026-11-21.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="FILE.parquet or FILE.ndjson; else lines on standard output.")
    ] = None,
) -> None:
    """Write what was shown, a row for each slot: customers are keyed hashes."""
    folder = load().exposures_folder
    if folder is None or not folder.is_dir():
        raise InvalidRequest(f"RECSVC_EXPOSURES: {folder or 'off'}, no exposures are there")
    if out is not None and out.suffix not in {".parquet", ".ndjson"}:
        raise InvalidRequest(f"--out: {out.name}, must end in .parquet or .ndjson")
    rows = flow.rows(folder, _moment(since))
    if out is None:
        _lines(rows, sys.stdout.buffer)
        return
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("wb") as file:
            n = _parquet(rows, file) if out.suffix == ".parquet" else _lines(rows, file)
        part.replace(out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InvalidRequest(f"--out: {out}: {error.strerror}") from None
    typer.echo(f"{out}: {n:,} rows")


def _moment(since: str) -> float:
    if not since:
        return 0.0
    try:
        day = f"{since}T00:00:00Z" if len(since) == len("2026-11-21") else since
        return intake.moment(day, datetime.now(UTC)).timestamp()
    except ValueError as error:
        raise InvalidRequest(f"--since: {error}") from None


def _lines(rows: Iterator[dict[str, Any]], file: BinaryIO) -> int:
    """Write NDJSON and return how many rows; times as RFC 3339."""
    n = 0
    for some in _chunks(rows):
        file.write(msgspec.json.Encoder().encode_lines(some))
        n += len(some)
    return n


def _parquet(rows: Iterator[dict[str, Any]], file: BinaryIO) -> int:
    import pyarrow as pa  # heavy, and only for this
    from pyarrow import parquet

    texts = ["exposure_id", "recommendation_id", "customer", "placement", "channel", "version", "source", "fallback"]
    schema = pa.schema(
        [(name, pa.string()) for name in [*texts, "cache", "item_id"]]
        + [("at", pa.timestamp("ms", "UTC")), ("slot", pa.int32()), ("propensity", pa.float64())]
    )
    n = 0
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for some in _chunks(rows):
            writer.write_table(pa.Table.from_pylist(some, schema))
            n += len(some)
    return n


def _chunks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while some := [{**row, "at": datetime.fromtimestamp(row["at"], UTC)} for row in islice(rows, _TOGETHER)]:
        yield some
