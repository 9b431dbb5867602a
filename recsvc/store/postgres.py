"""Postgres: how to connect to it, how long to wait for it, and when not to ask it at all.

libpq waits for ever on a server that is stopped but not gone (SIGSTOP, a dead disk, a lost network): its sockets
still take what is sent. So every wait is counted here. A list waits `quick` seconds; then the breaker is open and
nobody asks for half a second, as with Redis. A write waits five seconds, and no longer than one once the reads
have had no answer that long.

Why not a thread that can be left waiting: it costs each list two thread switches, and leaks where this closes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import psycopg
import sqlalchemy as sa
from sqlalchemy import event

from recsvc.errors import InvalidRequest

QUICK_SECONDS = 0.08
_WRITE_SECONDS = 5.0
_PAUSE_SECONDS = 0.5
_DOWN_SECONDS = 1.0
_TICK_SECONDS = 0.01
_MIGRATE, _APPEND = 0x7265637376630001, 0x7265637376630002
# What the server ends by itself, in milliseconds: a statement nobody waits for, a lock nobody lets go, a
# transaction whose process hangs.
_OPTIONS = "-c statement_timeout=60000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=120000"
_DEFAULTS = {
    "application_name": "recsvc", "client_encoding": "utf8", "connect_timeout": "5", "keepalives_idle": "5",
    "keepalives_interval": "2", "keepalives_count": "3", "tcp_user_timeout": "10000", "options": _OPTIONS,
}  # fmt: skip
GONE = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError, sa.exc.TimeoutError)


class Away(sa.exc.SQLAlchemyError):
    """The database did not answer just now, and is not asked again for a moment."""


class Guard:
    """One engine's breaker, and how long the current thread may wait."""

    def __init__(self, quick_seconds: float) -> None:
        self._quick = quick_seconds
        self._thread = threading.local()
        self._failed_at = self._opens_at = 0.0
        self._probe = threading.Lock()

    @property
    def down(self) -> bool:
        """Whether nothing was answered for so long that a write need not try."""
        failed_at = self._failed_at
        return failed_at > 0 and time.monotonic() - failed_at > _DOWN_SECONDS

    @contextmanager
    def look(self, seconds: float | None) -> Iterator[None]:
        """One look, of `quick` seconds unless told otherwise. While the breaker is open nobody waits; then one asks
        whether it is back.

        Raises:
            Away: the breaker is open.
        """
        if time.monotonic() < self._opens_at:
            raise Away("the database did not answer a moment ago")
        probing = self._failed_at > 0
        if probing and not self._probe.acquire(blocking=False):
            raise Away("the database did not answer; somebody asks whether it is back")
        try:
            # Whoever asks whether it is back asks while it is down; a longer look ends early when others find it so.
            with self._counted(seconds or self._quick, heeds=seconds is not None and not probing):
                yield
        finally:
            if probing:
                self._probe.release()

    @contextmanager
    def write(self) -> Iterator[None]:
        """One write. It ends early once the reads have found the database down."""
        with self._counted(_WRITE_SECONDS, heeds=True):
            yield

    @contextmanager
    def _counted(self, seconds: float, heeds: bool) -> Iterator[None]:
        before = self._mine
        self._thread.limits = time.monotonic() + seconds, heeds
        try:
            yield
        except GONE as error:
            if _is_away(error):
                now = time.monotonic()
                self._failed_at, self._opens_at = self._failed_at or now, now + _PAUSE_SECONDS
            raise
        else:
            self._failed_at = self._opens_at = 0.0
        finally:
            self._thread.limits = before

    @property
    def _mine(self) -> tuple[float, bool]:
        """Until when this thread may wait (0: for ever), and whether it ends early when the database is down."""
        found: tuple[float, bool] = getattr(self._thread, "limits", (0.0, False))
        return found

    def be_patient(self, connection: sa.Connection) -> None:
        """Let this write take as long as it takes, its commit included: a chunk of an import."""
        self._thread.limits = (0.0, False)
        for name in ("statement_timeout", "lock_timeout"):
            connection.exec_driver_sql(f"SET LOCAL {name} = 0")

    def bound(self, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Pass on what a psycopg generator waits for, until the time of this thread is over."""
        until, heeds = self._mine
        ready: Any = None
        try:
            state = next(steps)
            while True:
                # Also before the first wait: after a ping without an answer there is no time left to connect.
                if not ready and until and (time.monotonic() > until or (heeds and self.down)):
                    steps.close()
                    raise psycopg.OperationalError("no answer in time")
                ready = yield state
                state = steps.send(ready)
        except StopIteration as end:
            return end.value


def _is_away(error: Exception) -> bool:
    """Whether nobody answered, or the server said that it is going, coming or full; not that a lock was taken."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return state is None or state.startswith(("08", "53", "57P"))


class Bounded(psycopg.Connection[Any]):
    """A connection whose waits are counted. One that was not answered in time is closed: its answer may yet come."""

    guard: ClassVar[Guard]

    def wait(self, gen: Any, *given: Any, **named: Any) -> Any:
        """Wait for the server, no longer than this thread may."""
        try:
            return super().wait(self.guard.bound(gen), _TICK_SECONDS)
        except psycopg.OperationalError as error:
            if error.sqlstate is None:
                self.close()
            raise

    @classmethod
    def _connect_gen(cls, *given: Any, **named: Any) -> Any:
        return cls.guard.bound(super()._connect_gen(*given, **named))


_guards: WeakKeyDictionary[sa.Engine, Guard] = WeakKeyDictionary()


def guard(engine: sa.Engine) -> Guard | None:
    """Return the guard of an engine of ours; None for SQLite."""
    return _guards.get(engine)


def create(url: sa.URL, quick_seconds: float) -> sa.Engine:
    """Return an engine for a Postgres URL. What its query sets stands before what is set here."""
    given = url.set(drivername="postgresql+psycopg", query={**_DEFAULTS, **url.query})
    # One ping when a connection is taken from the pool: a server that came back is not seen as an error.
    engine = sa.create_engine(given, pool_size=16, max_overflow=48, pool_timeout=2, pool_pre_ping=True)
    watch = Guard(quick_seconds)
    connection_class = type("Connection", (Bounded,), {"guard": watch})
    _guards[engine] = watch

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, arguments: Any, named: Any) -> Any:
        return connection_class.connect(*arguments, **named)  # type: ignore[attr-defined]

    return engine


def before_migration(connection: sa.Connection) -> None:
    """Let one process at a time change the schema; the others wait until it has.

    Raises:
        InvalidRequest: the database cannot hold every text.
    """
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise InvalidRequest(f"RECSVC_DATABASE_URL: the database is encoded in {encoding}, must be UTF8")
    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATE})")


def in_commit_order(connection: sa.Connection) -> None:
    """From here to its commit, let no other transaction number an interaction; on SQLite none can anyway.

    Postgres numbers a row when it is inserted and shows it when it is committed. Without this a reader could see
    revision 8 before 7, and would never look at 7 again. The server lets the lock go after the rows are visible.
    """
    if connection.dialect.name != "postgresql":
        return
    transaction = connection.get_transaction()
    if connection.info.get("ordered") is not transaction or transaction is None:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_APPEND})")
        connection.info["ordered"] = transaction
