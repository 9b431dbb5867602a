"""`recsvc serve`: gunicorn, and beside it the embedded Redis when no other is set.

This process supervises: it starts both, passes signals on (cli/ending.py), starts Redis again when it ends, and ends
with gunicorn. Whatever ends this process ends both, SIGKILL included.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import structlog
import typer

from recsvc import embedded, logs
from recsvc.cli.ending import Ending
from recsvc.errors import InvalidRequest, Unavailable
from recsvc.flows import health
from recsvc.settings import Settings, configs_folder, load
from recsvc.store import database, facts, inventory, keys, published
from recsvc.store.copies import Copy
from recsvc.store.keyfile import KeyFile

log = structlog.get_logger("recsvc.serve")
_REDIS_MEGABYTES = 256
_RESTART_SECONDS = 1.0


def serve(
    with_parent: Annotated[bool, typer.Option("--with-parent", help="End when the calling process ends.")] = False,
) -> None:
    """Serve the API. Settings come from RECSVC_… variables."""
    if with_parent:
        embedded.bind_to_parent()
    sys.exit(run(load(), lambda: None))


def run(settings: Settings, when_ready: Callable[[], object]) -> int:
    """Serve until a signal says to end, or `when_ready` returns something other than None: the exit code.

    Args:
        when_ready: called once, when the service answers.

    Raises:
        InvalidRequest: a setting that would be unsafe, or a port that is taken.
    """
    logs.configure()
    check(settings)
    environment = {**os.environ, **_variables(settings)}
    # A short path: a Unix socket's may have 108 bytes, and a home folder may lie deep in a tree.
    _sweep()
    with _alone(settings) as note, tempfile.TemporaryDirectory(prefix=f"recsvc-{os.getpid()}-") as folder:
        environment["PROMETHEUS_MULTIPROC_DIR"] = f"{folder}/counters"
        mark = Path(folder) / "ending"
        environment[health.ENDING] = str(mark)
        redis = Redis(settings, Path(folder) / "redis.sock")
        if redis.url:
            environment["RECSVC_REDIS_URL"] = redis.url
            note(redis.url)
        server = _gunicorn(settings, environment)
        try:
            return _supervise(server, redis, Ending(server, mark, settings.drain_seconds), settings, when_ready)
        finally:
            if server.poll() is None:
                server.terminate()
                server.wait()
            redis.end()


@contextmanager
def _alone(settings: Settings) -> Iterator[Callable[[str], object]]:
    """Hold the home folder while its cache is our own: two services with a Redis each would not hear of each other.
    Yields what notes there where that Redis listens, for `recsvc warm`.

    Raises:
        InvalidRequest: another service holds it.
    """
    if settings.redis_url:
        yield lambda _url: None
        return
    with (settings.home / embedded.LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            why = "runs another service; share a Redis by RECSVC_REDIS_URL, or name another folder"
            raise InvalidRequest(f"RECSVC_HOME: {settings.home} {why}") from None

        def note(url: str) -> None:
            file.truncate(0)
            file.write(url)
            file.flush()

        yield note


def _sweep() -> None:
    """Remove the folders of services that were killed."""
    for folder in Path(tempfile.gettempdir()).glob("recsvc-[0-9]*-*"):
        pid = folder.name.split("-")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)


class Redis:
    """The embedded server, when there should be one. `url`: where it listens, or empty."""

    def __init__(self, settings: Settings, socket: Path) -> None:
        self.url = ""
        self._child: subprocess.Popen[bytes] | None = None
        self._ended_at = 0.0
        if settings.redis_url:
            return
        self._server = embedded.binary()
        if self._server is None:
            log.warning("no embedded Redis on this machine: lists are computed each time; install recsvc[embedded]")
            return
        self._socket = socket
        self.url = f"unix://{socket}"
        self.look()

    def look(self) -> None:
        """Start the server when it is not running; at most once a second."""
        if not self.url or (self._child is not None and self._child.poll() is None):
            return
        if time.monotonic() - self._ended_at < _RESTART_SECONDS:
            return
        if self._child is not None:
            log.warning("embedded Redis ended, starting it again", code=self._child.returncode)
        self._ended_at = time.monotonic()
        assert self._server is not None
        self._child = embedded.start(self._server, self._socket, _REDIS_MEGABYTES)

    def end(self) -> None:
        """End the server, stopped or not."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()


def check(settings: Settings) -> None:
    """Refuse what would be unsafe: an address others can reach while nobody needs a key. While the database is away
    nobody knows what keys there are; then nothing is answered without one either."""
    settings.home.mkdir(parents=True, exist_ok=True)
    check_port(settings)
    published.opened(settings)
    known = _prepared(settings)
    key_file = KeyFile(settings.admin_key_file)
    key_file.read()
    if key_file.problem:
        raise InvalidRequest(f"RECSVC_ADMIN_KEY_FILE: {key_file.problem}")
    if _is_loopback(settings.host):
        return
    if settings.pages:
        raise InvalidRequest("RECSVC_PAGES: the pages are for loopback only; unset it or RECSVC_HOST")
    now = time.time()
    if known is not None and key_file.read() is None and not any(now < key.expires_at for key in known.values()):
        raise InvalidRequest(
            f"RECSVC_HOST: others can reach {settings.host}; make a key first: recsvc keys create, "
            "or name a file with one in RECSVC_ADMIN_KEY_FILE"
        )


def _prepared(settings: Settings) -> dict[str, keys.Key] | None:
    """Make the tables, or bring them up to date. Returns the keys; None when the database is away: workers then start
    from the copy of its state, and do this once it answers."""
    engine = database.connect(settings.sql_url)
    file = inventory.file_of(settings.sql_url)
    if file is not None and not file.exists() and Copy(settings.redis_url, settings.sql_url).read() is not None:
        log.error("the database's file is gone, starting without it; to begin anew: recsvc import", kind="missing")
        return None
    try:
        database.migrate(engine)
        facts.ensure(engine)
        return keys.load(engine)
    except (sa.exc.SQLAlchemyError, Unavailable) as error:
        log.error("database away, starting without it; recsvc doctor says more", kind=type(error).__name__)
        return None
    finally:
        engine.dispose()


def check_port(settings: Settings) -> None:
    """Raises InvalidRequest where nobody could listen on the port now."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise InvalidRequest(f"RECSVC_PORT: cannot listen on {where}: {error.strerror}; set another") from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _gunicorn(settings: Settings, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    command = [
        sys.executable, "-m", "gunicorn", "--config", str(configs_folder() / "gunicorn.py"),
        "--bind", f"{host}:{settings.port}", "--workers", str(settings.workers), "--threads", str(settings.threads),
    ]  # fmt: skip
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), environment.get("PYTHONPATH", "")])
    prepare = embedded.die_with_parent(signal.SIGTERM)
    return subprocess.Popen(command, env=environment, preexec_fn=prepare)  # noqa: PLW1509 this process has one thread


def _supervise(
    server: subprocess.Popen[bytes], redis: Redis, ending: Ending, settings: Settings, when_ready: Callable[[], object]
) -> int:
    """Wait for gunicorn to end, passing signals on. Returns the exit code."""
    ending.install()
    waiting = True
    while True:
        try:
            return server.wait(timeout=0.1 if waiting or ending.announced else 0.5)
        except subprocess.TimeoutExpired:
            redis.look()
            ending.look()
        if waiting and not ending.announced and answers(settings):
            waiting = False
            code = when_ready()
            if isinstance(code, int):
                server.terminate()
                server.wait()
                return code


def answers(settings: Settings) -> bool:
    """Whether the service answers."""
    try:
        with urllib.request.urlopen(f"{address(settings)}/readyz", timeout=2) as reply:  # noqa: S310 our own address
            return bool(reply.status == HTTPStatus.OK)
    except OSError:
        return False


def address(settings: Settings) -> str:
    """Return the URL at which this machine reaches the service."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 only compared
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _variables(settings: Settings) -> dict[str, str]:
    """Return the settings as variables for the workers, paths made absolute."""
    given = settings.model_dump(exclude_none=True)
    found = {
        f"RECSVC_{name.upper()}": str(int(value) if isinstance(value, bool) else value) for name, value in given.items()
    }
    if settings.admin_key_file:
        found["RECSVC_ADMIN_KEY_FILE"] = str(settings.admin_key_file.absolute())
    return found | {"RECSVC_HOME": str(settings.home.absolute())}
