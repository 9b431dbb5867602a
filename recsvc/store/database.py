"""The database: connections, the schema, and the writer that groups commits.

SQLite runs with WAL and full durability: an acknowledged write survives a power cut. A full sync costs some
milliseconds, so writes that arrive together share one commit (measured: see `make bench` in the README).
Times are stored as integer microseconds since 1970 UTC, money as integer minor units.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import sqlalchemy as sa
import structlog
from sqlalchemy import event

from recsvc import metrics
from recsvc.errors import InvalidRequest, Unavailable

metadata = sa.MetaData()
log = structlog.get_logger("recsvc.store")

MICROSECONDS = 1_000_000
_GROUP = 500


def connect(url: str) -> sa.Engine:
    """Return an engine for `url`. The folder of a SQLite file is made when missing.

    Raises:
        InvalidRequest: not a database this version speaks to.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise InvalidRequest("RECSVC_DATABASE_URL: not a SQLAlchemy URL") from None
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise InvalidRequest(
            "RECSVC_DATABASE_URL: this version speaks to a SQLite file, as sqlite:////var/lib/recsvc.db"
        )
    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    # Errors without the values of the statement, which are customers and items: errors end up in logs.
    engine = sa.create_engine(
        parsed, pool_size=16, max_overflow=16, pool_timeout=2, connect_args={"timeout": 5.0}, hide_parameters=True
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def migrate(engine: sa.Engine) -> None:
    """Bring the schema to the newest version. Safe to call from several processes at once."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.connect().execution_options(immediate=True) as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")
        connection.commit()


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Yield a connection in one write transaction, committed at the end.

    Takes the write lock at once: a transaction that reads first and writes later can fail with a lock
    that no time-out resolves.

    Raises:
        Unavailable: the database cannot take a write now.
    """
    try:
        with engine.connect().execution_options(immediate=True) as connection, connection.begin():
            yield connection
    except (sa.exc.OperationalError, sa.exc.TimeoutError) as error:
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
                with metrics.WRITER_SECONDS.time(), writing(self._engine) as connection:
                    results = [work(connection) for work, _ in group]
                metrics.WRITER_GROUP.observe(len(group))
            except Exception as error:  # every waiting caller must hear of it, whatever it was
                if not isinstance(error, Unavailable):
                    log.exception("write failed")
                for _, future in group:
                    future.set_exception(Unavailable("the write was not kept; send it again"))
                continue
            for (_, future), result in zip(group, results, strict=True):
                future.set_result(result)


def upsert(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows; a row whose primary key exists is replaced by the new one."""
    from sqlalchemy.dialects.sqlite import insert

    if not rows:
        return
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def _configure(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling starts transactions late and deferred; SQLAlchemy starts them below.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "cache_size=-65536"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
