"""Queries: rows of a shop's own database, as pieces of Arrow columns. Needs the database's SQLAlchemy driver."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from recsvc.errors import InvalidRequest
from recsvc.store.files import Piece

_ROWS: Final = 50_000


def pieces(url: str, where: str, query: str) -> Iterator[Piece]:
    """Yield the rows of a query, read by a cursor on the server, 50,000 at a time.

    Args:
        url: a SQLAlchemy URL without a password, or the name of an environment variable that holds one.
        where: what the query is called in errors.

    Raises:
        InvalidRequest: the database does not answer, or not to this query.
    """
    with closing(_connected(url)) as connection:
        try:
            # A driver's text, not SQLAlchemy's: a colon or a percent sign in it means what it means to the database.
            found = connection.execution_options(stream_results=True, yield_per=_ROWS).execute(
                sa.text(query.replace(":", r"\:"))
            )
            names = _names(list(found.keys()), where)
            done = 0
            for rows in found.partitions(_ROWS):
                numbers = np.arange(done + 1, done + 1 + len(rows), dtype=np.int64)
                done += len(rows)
                parts = list(zip(*rows, strict=True))
                columns = {name: _column(part, name, where) for name, part in zip(names, parts, strict=True)}
                yield Piece(columns, numbers, done)
        except sa.exc.ResourceClosedError:
            raise InvalidRequest(f"{where}: gives no rows, must be a SELECT") from None
        except sa.exc.DBAPIError as error:
            raise InvalidRequest(f"{where}: {_first_line(error.orig)}") from None


def _connected(url: str) -> sa.Connection:
    text = url
    if "://" not in url:
        text = os.environ.get(url, "")
        if not text:
            raise InvalidRequest(f"source.url: {url}: is neither a URL nor an environment variable that is set")
    try:
        made = sa.make_url(text)
        if text is url and made.password:
            raise InvalidRequest(
                "source.url: holds a password; put the URL into an environment variable and name that here"
            )
        return sa.create_engine(made, poolclass=sa.NullPool).connect()
    except sa.exc.DBAPIError as error:
        raise InvalidRequest(f"source.url: the database does not answer: {_first_line(error.orig)}") from None
    except (sa.exc.ArgumentError, ImportError) as error:  # the text of the first would show the URL
        told = error if isinstance(error, ImportError) else "is not a URL that SQLAlchemy knows"
        raise InvalidRequest(f"source.url: {told}") from None


def _names(names: list[str], where: str) -> list[str]:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InvalidRequest(f"{where}: the column {twice[0]} stands twice")
    return names


def _column(values: tuple[Any, ...], name: str, where: str) -> Any:
    try:
        found = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        kinds = sorted({type(one).__name__ for one in values if one is not None})
        raise InvalidRequest(f"{where}: column {name}: holds {' and '.join(kinds)}, must hold one type") from None
    return found.cast(pa.string()) if pa.types.is_null(found.type) else found


def _first_line(error: object) -> str:
    return (str(error).splitlines() or ["no reason given"])[0]
