"""Opening the database for a command: one that is there, or one that is made; an error of it is one line.

Why not make it for every command: while a service runs and its file is moved away, an empty one in its place would
take what was meant for the shop's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from recsvc.errors import InvalidRequest
from recsvc.store import database, facts, postgres

_T = TypeVar("_T")


def made(url: str) -> sa.Engine:
    """Return the database, its tables made or brought up to date.

    Raises:
        InvalidRequest: it does not answer.
    """
    engine = database.connect(url)
    _said(url, lambda: database.migrate(engine))
    facts.ensure(engine)
    return engine


def existing(url: str) -> sa.Engine:
    """Return what `found` does.

    Raises:
        InvalidRequest: it is not there, holds no shop, or does not answer.
    """
    engine = found(url)
    if engine is None:
        raise InvalidRequest(
            f"RECSVC_DATABASE_URL: there is no shop's database at {where(url)}; `recsvc import` or "
            "`recsvc keys create` makes one"
        )
    return engine


def found(url: str) -> sa.Engine | None:
    """Return the database, its tables brought up to date; None when it is not there. Makes nothing.

    Raises:
        InvalidRequest: it does not answer.
    """
    engine = database.connect(url)
    if not _said(url, lambda: _is_shop(engine)):
        engine.dispose()
        return None
    _said(url, lambda: database.migrate(engine))
    return engine


def where(url: str) -> str:
    """Return where a database is, without user and password."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return str(Path(parsed.database or "").absolute())
    # A port or a host may stand in the query; what is not said is libpq's own.
    host = parsed.host or "the local server"
    return f"{host}{f':{parsed.port}' if parsed.port else ''}/{parsed.database or ''}"


def no_answer(error: Exception) -> str:
    """Return one line on a database that failed: no text of the driver's, which may hold what the URL holds."""
    return f"RECSVC_DATABASE_URL: the database does not answer or refuses ({type(error).__name__}); see recsvc doctor"


def _is_shop(engine: sa.Engine) -> bool:
    if engine.dialect.name == "sqlite" and not Path(engine.url.database or "").exists():
        return False
    with engine.connect() as connection:
        return sa.inspect(connection).has_table(facts.facts.name)


def _said(url: str, work: Callable[[], _T]) -> _T:
    try:
        return work()
    except (*postgres.GONE, sa.exc.DatabaseError, OSError) as error:
        raise InvalidRequest(no_answer(error).replace("the database", f"the database at {where(url)}", 1)) from None
