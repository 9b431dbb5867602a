"""The database: connections, the schema, and the writer that groups commits. SQLite or Postgres, held equal by
one contract suite.

SQLite runs with WAL and full durability: an acknowledged write survives a power cut. A full sync costs some
milliseconds, so writes that arrive together share one commit.
Times are stored as integer microseconds since 1970 UTC, money as integer minor units, JSON as its text; text
compares by its bytes.
"""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import sqlalchemy as sa
import structlog
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite

from recsvc import metrics
from recsvc.errors import InvalidRequest, RecsvcError, Unavailable
from recsvc.store import postgres

metadata = sa.MetaData()
log = structlog.get_logger("recsvc.store")

MICROSECONDS = 1_000_000
# How long a look may wait for Postgres when it reads much: for a page or a shop without a model; a whole catalogue.
PAGE_SECONDS, LOAD_SECONDS = 2.0, 30.0
_GROUP = 500
# A commit takes milliseconds. One that takes this long is waiting for another process.
_STUCK_SECONDS = 0.5
_PATIENCE_SECONDS = 12.0


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
    """Return an engine for `url`. A SQLite file that is missing is an error of the first connection.

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
    path = Path(parsed.database).absolute()
    # mode=rw: a file that is moved away while we run is an error, not an invitation to begin an empty one.
    address = f"{path.as_uri()}?mode=rw"
    # Errors without the values of the statement, which are customers and items: errors end up in logs.
    engine = sa.create_engine(
        parsed, creator=lambda: sqlite3.connect(address, timeout=5.0, uri=True, check_same_thread=False),
        poolclass=sa.QueuePool, pool_size=16, max_overflow=16, pool_timeout=2, hide_parameters=True,
    )  # fmt: skip
    event.listen(engine, "connect", _configure)
    event.listen(engine, "connect", lambda _connection, record: record.info.update(inode=_inode(path)))
    event.listen(engine, "checkout", lambda _connection, record, _proxy: _same_file(path, record.info["inode"]))
    event.listen(engine, "begin", _begin)
    return engine


def make_file(engine: sa.Engine) -> None:
    """Make the SQLite file and its folder when they are missing; nothing to do for Postgres."""
    if engine.dialect.name == "sqlite":
        path = Path(engine.url.database or "").absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def migrate(engine: sa.Engine) -> None:
    """Bring the schema to the newest version, from nothing too. Safe to call from several processes at once."""
    make_file(engine)
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


@contextmanager
def importing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """`writing` for a chunk of an import: on Postgres it waits for its turn and takes as long as it takes.

    Raises:
        Unavailable: the database cannot take a write now.
    """
    guard = postgres.guard(engine)
    with writing(engine) as connection:
        if guard:
            guard.be_patient(connection)
        yield connection


class Writer:
    """Groups the writes of one process into shared commits. `submit` returns after the commit.

    One thread takes all that is waiting, runs it in one transaction and commits once. Started at the first
    write, so that it belongs to the worker and not to the process that forked it.
    """

    def __init__(self, engine: sa.Engine, most: int = 64) -> None:
        """Make a writer; `most` callers may wait while a commit is stuck, further ones are told at once."""
        self._engine = engine
        self._most = most
        self._inside = 0
        self._stuck_since: float | None = None
        self._waiting: queue.SimpleQueue[tuple[Callable[[sa.Connection], Any], Future[Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def submit(self, work: Callable[[sa.Connection], Any]) -> Any:
        """Run `work` inside a shared write transaction and return its result once that is committed.

        Raises:
            Unavailable: nothing was kept, or nobody can say yet; sent again under one id it has one effect.
        """
        with self._lock:
            began = self._stuck_since
            if self._inside >= self._most and began is not None and time.monotonic() - began > _STUCK_SECONDS:
                raise Unavailable("the database is busy; send it again")
            self._inside += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
                self._thread.start()
        future: Future[Any] = Future()
        self._waiting.put((work, future))
        try:
            return future.result(_PATIENCE_SECONDS)
        except FutureTimeout:
            raise Unavailable("the database is busy; send it again") from None
        finally:
            with self._lock:
                self._inside -= 1

    def _run(self) -> None:
        while True:
            group = [self._waiting.get()]
            with suppress(queue.Empty):
                while len(group) < _GROUP:
                    group.append(self._waiting.get_nowait())
            self._stuck_since = time.monotonic()
            try:
                with metrics.WRITER_SECONDS.time(), writing(self._engine) as connection:
                    # Before any other lock: processes that take several take them in one order. And before any
                    # savepoint: what is undone to one lets go of the locks taken after it.
                    postgres.in_commit_order(connection)
                    results = [_attempt(connection, work) for work, _ in group]
                metrics.WRITER_GROUP.observe(len(group))
            except Exception as error:  # every waiting caller must hear of it, whatever it was
                if not isinstance(error, Unavailable):
                    log.exception("write failed")
                for _, future in group:
                    future.set_exception(Unavailable("the write was not acknowledged; send it again"))
                continue
            finally:
                self._stuck_since = None
            for (_, future), result in zip(group, results, strict=True):
                if isinstance(result, RecsvcError):
                    future.set_exception(result)
                else:
                    future.set_result(result)


def _attempt(connection: sa.Connection, work: Callable[[sa.Connection], Any]) -> Any:
    """Return what `work` returns, or the error of its caller's making; that undoes its own writes, not the group's."""
    try:
        with connection.begin_nested():
            return work(connection)
    except RecsvcError as error:
        return error
    except (sa.exc.IntegrityError, sa.exc.DataError, sa.exc.StatementError) as error:
        if isinstance(error, postgres.GONE):
            raise  # the database itself, not this one write
        log.error("one write failed", why=type(error).__name__)
        return Unavailable("the write was not kept; send it again")


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """Return an insert that knows `on_conflict_do_nothing` and `on_conflict_do_update`, for either database."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def upsert(
    connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]], only: Collection[str] | None = None
) -> None:
    """Insert rows; a row whose primary key exists is replaced by the new one, of two with one key the later stays.
    only: the columns that are replaced, the others stay as they are stored; None: all.

    In the order of the key: two that replace the same rows wait for each other, and never in a circle.
    """
    if not rows:
        return
    statement = insert(connection, table)
    keys = [column.name for column in table.primary_key]
    names = [c.name for c in table.columns if c.name not in keys and (only is None or c.name in only)]
    changed = {name: statement.excluded[name] for name in names}
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


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _same_file(path: Path, inode: int) -> None:
    """Have the pool open a new connection when another file stands at the path: the old one is nobody's any more."""
    if _inode(path) != inode:
        raise sa.exc.DisconnectionError("the database file was moved")


def _begin(connection: sa.Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
