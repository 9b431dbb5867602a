"""The database: connections, the schema, and the writer that groups commits. SQLite or Postgres, held equal by
one contract suite.

SQLite runs with WAL and full durability: an acknowledged write survives a power cut. A full sync costs some
milliseconds, so writes that arrive together share one commit (measured: see `make bench` in the README).
Times are stored as integer microseconds since 1970 UTC, money as integer minor units, JSON as its text; text
compares by its bytes.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import sqlalchemy as sa
import structlog
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite

from recsvc.errors import InvalidRequest, Unavailable
from recsvc.store import postgres

metadata = sa.MetaData()
log = structlog.get_logger("recsvc.store")

MICROSECONDS = 1_000_000
# How long a look may wait for Postgres when it reads much: for a page or a shop without a model; a whole catalogue.
PAGE_SECONDS, LOAD_SECONDS = 2.0, 30.0
_GROUP = 500


class Json(sa.types.TypeDecorator[Any]):
    """A value as JSON text, the same bytes in both databases. None is NULL."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Return what is stored."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        """Return what was stored."""
        return None if value is None else json.loads(value)


def connect(url: str, quick_seconds: float = postgres.QUICK_SECONDS) -> sa.Engine:
    """Return an engine for `url`. The folder of a SQLite file is made when missing.

    Args:
        quick_seconds: how long `reading` waits for Postgres.

    Raises:
        InvalidRequest: not a database this version speaks to.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise InvalidRequest("RECSVC_DATABASE_URL: not a SQLAlchemy URL") from None
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return postgres.create(parsed, quick_seconds)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise InvalidRequest(
            "RECSVC_DATABASE_URL: this version speaks to a SQLite file, as sqlite:////var/lib/recsvc.db, and to "
            "Postgres, as postgresql://user:password@host/name"
        )
    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, pool_size=16, max_overflow=16, pool_timeout=2, connect_args={"timeout": 5.0})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def migrate(engine: sa.Engine) -> None:
    """Bring the schema to the newest version. Safe to call from several processes at once."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.connect().execution_options(immediate=True) as connection:
        if engine.dialect.name == "postgresql":
            postgres.before_migration(connection)
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")
        connection.commit()


@contextmanager
def reading(engine: sa.Engine, seconds: float | None = None) -> Iterator[sa.Connection]:
    """Yield a connection for one look.

    Args:
        seconds: how long it may wait for Postgres; None: as briefly as a list does.

    Raises:
        sa.exc.SQLAlchemyError: the database is away.
    """
    guard = postgres.guard(engine)
    if guard is None:
        with engine.connect() as connection:
            yield connection
        return
    # Without a transaction around it: one round trip in place of three.
    with guard.look(seconds), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Yield a connection in one write transaction, committed at the end.

    On SQLite it takes the write lock at once: a transaction that reads first and writes later can fail with a
    lock that no time-out resolves.

    Raises:
        Unavailable: the database cannot take a write now.
    """
    guard = postgres.guard(engine)
    try:
        if guard and guard.down:
            with reading(engine) as connection:  # a short look first: who writes shall not wait for what is gone
                connection.exec_driver_sql("SELECT 1")
        with (
            guard.write() if guard else nullcontext(),
            engine.connect().execution_options(immediate=True) as connection,
            connection.begin(),
        ):
            yield connection
    except (*postgres.GONE, postgres.Away) as error:
        raise Unavailable("the database cannot take a write now; send it again") from error


class Writer:
    """Groups the writes of one process into shared commits. `submit` returns after the commit.

    One thread takes all that is waiting, runs it in one transaction and commits once. Started at the first
    write, so that it belongs to the worker and not to the process that forked it.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._waiting: queue.SimpleQueue[tuple[Callable[[sa.Connection], Any], Future[Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def submit(self, work: Callable[[sa.Connection], Any]) -> Any:
        """Run `work` inside a shared write transaction and return its result once that is committed.

        Raises:
            Unavailable: nothing was kept.
        """
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
                self._thread.start()
        future: Future[Any] = Future()
        self._waiting.put((work, future))
        return future.result()

    def _run(self) -> None:
        while True:
            group = [self._waiting.get()]
            with suppress(queue.Empty):
                while len(group) < _GROUP:
                    group.append(self._waiting.get_nowait())
            try:
                with writing(self._engine) as connection:
                    results = [work(connection) for work, _ in group]
            except Exception as error:  # every waiting caller must hear of it, whatever it was
                if not isinstance(error, Unavailable):
                    log.exception("write failed")
                for _, future in group:
                    future.set_exception(Unavailable("the write was not acknowledged; send it again"))
                continue
            for (_, future), result in zip(group, results, strict=True):
                future.set_result(result)


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """Return an insert that knows `on_conflict_do_nothing` and `on_conflict_do_update`, for either database."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def upsert(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows; a row whose primary key exists is replaced by the new one, of two with one key the later stays.

    In the order of the key: two that replace the same rows wait for each other, and never in a circle.
    """
    if not rows:
        return
    statement = insert(connection, table)
    keys = [column.name for column in table.primary_key]
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    connection.execute(
        statement.on_conflict_do_update(index_elements=keys, set_=changed),
        sorted(rows, key=lambda row: [row[key] for key in keys]),
    )


def _configure(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling starts transactions late and deferred; SQLAlchemy starts them below.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("busy_timeout=5000", "journal_mode=WAL", "synchronous=FULL", "cache_size=-65536"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
