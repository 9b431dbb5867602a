"""Import: files in, through the same checks for every shop. A bad row goes to the rejects and never fails the rest.

Running an import again adds nothing twice: items, customers and offers take what the file says, and an interaction
keeps its id or has one that is derived from its fields. So an import that was killed is continued by starting it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import sqlalchemy as sa

from recsvc.artifact import Array
from recsvc.errors import InvalidRequest
from recsvc.flows import terms
from recsvc.store import columns, customers, files, interactions, items, lines, offers
from recsvc.store.columns import COLUMNS
from recsvc.store.database import writing
from recsvc.store.facts import advance
from recsvc.store.maps import Map
from recsvc.store.rejects import Rejects, beside
from recsvc.store.values import Sheet, Wrong

NOUNS: Final = tuple(COLUMNS)
KEYS: Final = {"items": "item_id", "customers": "customer_id", "offers": "offer_id"}
_STORES: Final = {"items": items, "customers": customers, "offers": offers}
# Sorted chunks of this size walk the unique index once each: 5 million rows took 53 s and 518 MB on two cores.
_CHUNK: Final = 200_000
Progress = Callable[[int, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What to import. rejects: one file for all; None: beside each file. dry_run: check only, write nothing."""

    noun: str
    paths: list[Path]
    map: Map
    now: datetime
    rejects: Path | None = None
    dry_run: bool = False


@dataclass(slots=True)
class Outcome:
    """What became of the rows: read = new + known + rejected + left out. known: were there already.

    objects: distinct items, customers or offers. reasons: (column, reason) → rows; rejects: files that were written.
    """

    read: int = 0
    known: int = 0
    rejected: int = 0
    left_out: int = 0
    objects: int = 0
    reasons: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    rejects: list[Path] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Checked:
    """A piece of a file after the checks. keep: (rows,) bool. left_out: (rows,) bool, by the map. absent: column →
    (rows,) bool, the rows that do not speak of it."""

    piece: files.Piece
    columns: dict[str, Any]
    wrong: Wrong
    keep: Array
    left_out: Array
    absent: dict[str, Array]


def import_files(engine: sa.Engine | None, order: Order, progress: Progress) -> Outcome:
    """Read files into the store.

    Args:
        engine: None in a dry run.
        progress: called with (rows done, bytes done, bytes in all or None).

    Raises:
        InvalidRequest: a file cannot be read, or its columns are not those of the noun. What came before is kept.
    """
    paths = files.expand(order.paths)
    sizes = [files.size(path) for path in paths]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    outcome, done = Outcome(), 0
    taker = _Interactions(engine) if order.noun == "interactions" else _Objects(engine, order.noun)
    shared = Rejects(order.rejects) if order.rejects else None
    for path, size in zip(paths, sizes, strict=True):
        refused = shared or (None if order.dry_run else Rejects(beside(path, order.noun)))
        taker.begin()
        for checked in read(order.noun, path, order.map, order.now):
            taker.take(checked)
            _account(checked, path, outcome, refused)
            progress(outcome.read, done + checked.piece.done, total)
        done += size or 0
        if refused is not None and refused is not shared:
            _close(refused, outcome)
    outcome.known, outcome.objects = taker.end()
    if engine is not None:
        with writing(engine) as connection:  # what was cached before knows nothing of it
            advance(connection, "cache_epoch")
    if shared:
        _close(shared, outcome)
    return outcome


def read(noun: str, path: Path, a_map: Map, now: datetime) -> Iterator[Checked]:
    """Yield the checked pieces of one file.

    Raises:
        InvalidRequest: the file cannot be read, or its columns are not those of the noun; names it.
    """
    for piece, form in columns.read(noun, path, a_map, now):
        found, wrong, left_out = columns.check(piece, form)
        if noun == "interactions":
            found, corrections = lines.checked(found, a_map.returns, wrong)
            left_out = left_out | corrections
        elif noun == "items" and a_map.returns:
            left_out = left_out | _undone(piece, form, now)
        elif noun == "offers":
            _terms(found, wrong)
        keep = ~left_out
        keep[list(wrong.rows)] = False
        yield Checked(piece, found, wrong, keep, left_out, columns.absent(piece, form))


def _terms(found: dict[str, Any], wrong: Wrong) -> None:
    """Note the offers whose terms the API would refuse."""
    every = np.ones(len(next(iter(found.values()))), bool)
    for place, row in enumerate(columns.rows_of(found, "offers", every, {})):
        try:
            terms.check(row)
        except InvalidRequest as error:
            column = next(iter(error.fields)).partition(".")[0]
            wrong.note(place, column, None, error.message.removeprefix(f"{column}: "))


def _undone(piece: files.Piece, form: Sheet, now: datetime) -> Array:
    """Return (rows,) bool: lines of an order export that sell nothing; their text is a remark, not a title."""
    source = form.map.interactions.get("quantity")
    if source is None or source.column not in piece.columns:
        return np.zeros(len(piece.numbers), bool)
    found, _, _ = columns.check(piece, Sheet("interactions", form.map, {"quantity": source}, now))
    return np.asarray(found["quantity"].fill_null(1).to_numpy(zero_copy_only=False) < 0)


class _Interactions:
    """Appends interactions in large sorted chunks.

    Postgres stores one chunk while the next is read. SQLite does its work in this process, where two threads would
    only wait for each other.
    """

    def __init__(self, engine: sa.Engine | None) -> None:
        self._beside = ThreadPoolExecutor(1) if engine is not None and engine.dialect.name == "postgresql" else None
        self._storing: Future[int] | None = None
        self._engine = engine
        self._rows: list[tuple[Any, ...]] = []
        self._taken = self._new = 0
        self._ordinals = lines.Ordinals()

    def begin(self) -> None:
        # Equal lines are counted in one file: the same line in two exports that overlap is one line.
        self._ordinals = lines.Ordinals()

    def take(self, checked: Checked) -> None:
        if self._engine is None:
            return
        self._rows += lines.rows(checked.columns, checked.keep, self._ordinals)
        # Beside the chunk that is being stored, another is being read.
        if len(self._rows) >= (_CHUNK if self._beside is None else _CHUNK // 2):
            self._flush()

    def end(self) -> tuple[int, int]:
        self._flush()
        self._settle()
        return self._taken - self._new, 0

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        if rows and self._engine is not None:
            self._taken += len(rows)
            if self._beside is None:
                self._new += interactions.append_many(self._engine, rows)
                return
            self._settle()
            self._storing = self._beside.submit(interactions.append_many, self._engine, rows)

    def _settle(self) -> None:
        """Wait until the chunk that is being stored is; what went wrong with it goes wrong here."""
        if self._storing is not None:
            storing, self._storing = self._storing, None
            self._new += storing.result()


class _Objects:
    """Puts items, customers or offers: of equal ids the last one stays. What a file does not say is not changed: a list
    of segments says nothing of who wants no profile."""

    def __init__(self, engine: sa.Engine | None, noun: str) -> None:
        self._engine, self._noun, self._seen = engine, noun, set[str]()

    def begin(self) -> None:
        pass

    def take(self, checked: Checked) -> None:
        found = columns.rows_of(checked.columns, self._noun, checked.keep, checked.absent)
        for row in found if self._noun == "offers" else ():
            if row.get("budget") is not None:
                row["budget"] = terms.checked_budget(row["budget"])
        self._seen |= {row[KEYS[self._noun]] for row in found}
        if self._engine is not None and found:
            _STORES[self._noun].put(self._engine, found, columns.defaults(self._noun))

    def end(self) -> tuple[int, int]:
        return 0, len(self._seen)


def _account(checked: Checked, path: Path, outcome: Outcome, refused: Rejects | None) -> None:
    piece = checked.piece
    outcome.read += len(piece.numbers) + len(piece.broken)
    outcome.left_out += int(checked.left_out.sum())
    for broken in piece.broken:
        outcome.rejected += 1
        outcome.reasons[None, broken.summary] += 1
        if refused is not None:
            refused.add(path, broken.number, None, None, broken.reason, broken.text)
    for row, (column, value, reason) in sorted(checked.wrong.rows.items()):
        if checked.left_out[row]:
            continue
        outcome.rejected += 1
        outcome.reasons[column, reason if value is None else reason.replace(value, "…")] += 1
        if refused is not None:
            refused.add(path, int(piece.numbers[row]), column, value, reason, piece.line(row))


def _close(refused: Rejects, outcome: Outcome) -> None:
    refused.close()
    if refused.count:
        outcome.rejects.append(refused.path)
