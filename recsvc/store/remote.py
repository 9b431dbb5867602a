"""Published models in a store that fsspec speaks to: `s3://…`, `file://…`, `memory://…` and what else is installed.

It holds the same as an artifact root: `VERSION/…`, `current`, `promotions`. A version's manifest is written last, so
what has none is not there yet. The record is read, added to and written whole: of two commands on two hosts in the
same moment one may be missing in it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import fsspec

from recsvc import promotions
from recsvc.errors import InvalidRequest, NotFound, Unavailable
from recsvc.roots import VERSION_PATTERN

_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "file": {"auto_mkdir": True},
    "local": {"auto_mkdir": True},
    # A store that is away shall say so within seconds.
    "s3": {"config_kwargs": {"connect_timeout": 3, "read_timeout": 20, "retries": {"max_attempts": 2}}},
}
_MANIFEST: Final = "manifest.json"
_UNFINISHED_SECONDS: Final = 86400.0


class Remote:
    """One such folder. Every method raises Unavailable when the store does not answer."""

    def __init__(self, url: str) -> None:
        """Take the URL apart, without asking anybody.

        Raises:
            InvalidRequest: no URL that can be used; says what is missing.
        """
        protocol = url.split("://", 1)[0]
        try:
            # An instance of its own: fsspec shares them by default, with their state, between threads.
            self._fs, path = fsspec.core.url_to_fs(url, skip_instance_cache=True, **_OPTIONS.get(protocol, {}))
        except ImportError as error:
            package = "recsvc[s3]" if protocol == "s3" else "the package it names"
            raise InvalidRequest(f"RECSVC_ARTIFACTS: {protocol}://: {error}; install {package}") from None
        except ValueError as error:
            raise InvalidRequest(f"RECSVC_ARTIFACTS: {protocol}://: {error}") from None
        self._path = path.rstrip("/")
        self._shown = f"{protocol}://{self._path.lstrip('/')}"  # without what a URL may hold of passwords

    def current(self) -> str | None:
        """Return what the pointer names, None when there is none. Whether it is a version is not looked at."""
        content = self._read(f"{self._path}/current")
        return None if content is None else content.decode("ascii", errors="replace").strip()

    def record(self) -> str:
        """Return the record of promotions."""
        return (self._read(f"{self._path}/{promotions.FILE}") or b"").decode("ascii", errors="replace")

    def versions(self) -> dict[str, int]:
        """Return the versions that are whole, newest first, each with its bytes."""
        files = self._files()
        whole = {version for version, name in files if name == _MANIFEST}
        return {
            version: sum(size for (of, _), size in files.items() if of == version)
            for version in sorted(whole, reverse=True)
        }

    def manifest(self, version: str) -> bytes:
        """Return the manifest of a version.

        Raises:
            NotFound: no such version.
        """
        content = self._read(f"{self._path}/{version}/{_MANIFEST}")
        if content is None:
            raise NotFound(f"version: {version} is not at {self._shown}")
        return content

    def upload(self, folder: Path) -> None:
        """Put a published folder there, under its name; its manifest last."""
        names = sorted(path.name for path in folder.iterdir() if path.name != _MANIFEST)
        with self._asking():
            for name in [*names, _MANIFEST]:
                self._fs.put_file(str(folder / name), f"{self._path}/{folder.name}/{name}")

    def download(self, version: str, names: list[str], folder: Path) -> None:
        """Get files of a version into `folder`.

        Raises:
            FileNotFoundError: one of them is not there.
        """
        with self._asking():
            for name in names:
                self._fs.get_file(f"{self._path}/{version}/{name}", str(folder / name))

    def point(self, version: str, how: str) -> None:
        """Make `version` the current one and add it to the record."""
        record, in_use = self.record(), self.current()
        in_use = in_use if in_use and VERSION_PATTERN.fullmatch(in_use) else None
        record += promotions.addition(record, in_use, version, how, datetime.now(UTC))
        with self._asking():
            self._replace(promotions.FILE, record.encode())
            self._replace("current", f"{version}\n".encode())

    def remove(self, keep: set[str], newest: int) -> None:
        """Remove all versions but those in `keep` and the `newest` so many, and what was left unfinished a day ago."""
        files = self._files()
        whole = sorted({version for version, name in files if name == _MANIFEST}, reverse=True)
        half = {version for version, _ in files} - set(whole)
        gone = [version for version in whole[newest:] if version not in keep]
        gone += [version for version in half if _age(version) > _UNFINISHED_SECONDS]
        with self._asking():
            for version in gone:
                # Without its manifest it is not there any more, whenever this is cut short.
                if version in whole:
                    self._fs.rm_file(f"{self._path}/{version}/{_MANIFEST}")
                self._fs.rm(f"{self._path}/{version}", recursive=True)

    def _files(self) -> dict[tuple[str, str], int]:
        """Return (version, file name) → bytes."""
        with self._asking():
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(self._path, detail=True)
            except FileNotFoundError:
                return {}
        parts = {tuple(path.rsplit("/", 2)[1:]): int(one["size"] or 0) for path, one in found.items()}
        return {(of, name): size for (of, name), size in parts.items() if VERSION_PATTERN.fullmatch(of)}

    def _read(self, path: str) -> bytes | None:
        with self._asking():
            try:
                content = self._fs.cat_file(path)
            except FileNotFoundError:
                return None
        assert isinstance(content, bytes)
        return content

    def _replace(self, name: str, content: bytes) -> None:
        # In one step where the store can: a reader never sees half a pointer.
        with self._fs.transaction, self._fs.open(f"{self._path}/{name}", "wb") as file:
            file.write(content)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:  # each store has a family of errors of its own
            told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise Unavailable(f"RECSVC_ARTIFACTS: {self._shown} cannot be used now: {told}") from error


def _age(version: str) -> float:
    made = datetime.strptime(version[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return time.time() - made.timestamp()
