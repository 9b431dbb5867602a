"""Import: files in, through the same checks for every shop, with a word on the progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from recsvc.concepts import KINDS
from recsvc.errors import InvalidRequest
from recsvc.intake import digest, shorten
from recsvc.store import customers, files, interactions, items, offers
from recsvc.store.database import writing
from recsvc.store.facts import advance

NOUNS: Final = tuple(files.COLUMNS)


def import_files(
    engine: sa.Engine, noun: str, paths: Iterable[Path], progress: Callable[[int, int], None]
) -> tuple[int, int]:
    """Read Parquet files into the store. Running it again adds nothing twice.

    Args:
        noun: items, customers, interactions or offers.
        progress: called with (rows done, rows in all).

    Returns:
        (rows read, of which were there already; the latter is 0 for what replaces: items, customers, offers).

    Raises:
        InvalidRequest: names the file, row and column. What came before that chunk is kept.
    """
    paths = list(paths)
    total, done, new = sum(files.count(path) for path in paths), 0, 0
    for path in paths:
        for chunk in files.rows(noun, path):
            new += _WRITERS[noun](engine, chunk, path)
            done += len(chunk)
            progress(done, total)
    with writing(engine) as connection:  # what was cached before knows nothing of it
        advance(connection, "cache_epoch")
    return done, done - new


def _put(noun: Any) -> Callable[[sa.Engine, list[dict[str, Any]], Path], int]:
    def write(engine: sa.Engine, chunk: list[dict[str, Any]], _path: Path) -> int:
        noun.put(engine, chunk)
        return len(chunk)

    return write


def _append(engine: sa.Engine, chunk: list[dict[str, Any]], path: Path) -> int:
    prepared = []
    for row in chunk:
        kind = KINDS[row["kind"]]
        if (kind.needs_item and row["item_id"] is None) or (kind.needs_offer and row["offer_id"] is None):
            wanted = "item_id" if kind.needs_item else "offer_id"
            raise InvalidRequest(
                f"{path}: interaction {shorten(row['interaction_id'])}: a {row['kind']} needs {wanted}"
            )
        row["digest"] = digest(row["interaction_id"])
        row["details"] = None
        prepared.append(tuple([row.get(name) for name in interactions.COLUMNS]))
    return interactions.append_many(engine, prepared)


_WRITERS: Final[dict[str, Callable[[sa.Engine, list[dict[str, Any]], Path], int]]] = {
    "items": _put(items), "customers": _put(customers), "offers": _put(offers), "interactions": _append,
}  # fmt: skip
