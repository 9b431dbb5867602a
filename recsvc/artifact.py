"""The artifact: the one thing training hands to the service.

An artifact is a folder of plain arrays and a manifest. Once published it never changes; `current` is a
one-line file naming the version in use. It is written beside, synced, renamed, and only then is the
pointer replaced, so a kill at any moment leaves the old version or the new one in use, both whole.

Why not one .npz: it cannot be memory-mapped, so every worker would hold its own copy. Why not pickle: it
runs code from the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recsvc.errors import ArtifactInvalid

FORMAT: Final = 1
VERSION_PATTERN: Final = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")
MAX_ARRAY_BYTES: Final = 64 * 2**30
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DTYPES: Final = {"float32", "float64", "int16", "int32", "int64", "uint8", "uint64"}

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified artifact: its version, its manifest, and its arrays, memory-mapped read-only."""

    version: str
    manifest: dict[str, Any]
    arrays: dict[str, Array]


def new_version(now: datetime) -> str:
    """Return a version name: UTC time plus four hex digits, as `20261121T020000Z-3fa1`."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def publish(root: Path, version: str, arrays: dict[str, Array], manifest: dict[str, Any]) -> Path:
    """Write one artifact and make it the current one. Returns its folder.

    Args:
        root: the artifact folder; made when missing.
        version: from `new_version`; a version that exists is refused, never overwritten.
        arrays: name → array of a plain dtype, all finite.
        manifest: what the run says of itself; `format`, `version` and `arrays` are added here.

    Raises:
        ArtifactInvalid: a name, dtype or value that the reader would refuse.
        FileExistsError: the version exists.
    """
    root.mkdir(parents=True, exist_ok=True)
    beside = root / f".{version}.{os.getpid()}"
    beside.mkdir()
    try:
        entries = {name: _write_array(beside, name, array) for name, array in sorted(arrays.items())}
        full = {**manifest, "format": FORMAT, "version": version, "arrays": entries}
        _write_synced(beside / "manifest.json", json.dumps(full, indent=1, ensure_ascii=False).encode())
        _sync_folder(beside)
        beside.rename(root / version)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    _sync_folder(root)
    point(root, version)
    return root / version


def point(root: Path, version: str) -> None:
    """Make `version` the current one, in one atomic replacement."""
    pointer = root / f".current.{os.getpid()}"
    _write_synced(pointer, f"{version}\n".encode())
    pointer.replace(root / "current")
    _sync_folder(root)


def current(root: Path) -> str | None:
    """Return the version that `current` names, or None when nothing was published.

    Raises:
        ArtifactInvalid: the pointer holds something that is not a version.
    """
    try:
        text = (root / "current").read_text(encoding="ascii", errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not VERSION_PATTERN.fullmatch(text):
        raise ArtifactInvalid("current: does not hold a version name")
    return text


def versions(root: Path) -> list[str]:
    """Return the published versions, newest first."""
    try:
        names = [one.name for one in root.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((name for name in names if VERSION_PATTERN.fullmatch(name)), reverse=True)


def read(root: Path, version: str) -> Artifact:
    """Return the artifact `version`, every file compared with the manifest before it is parsed.

    Raises:
        ArtifactInvalid: missing, damaged, non-finite, of another shape or of a newer format; names the array.
    """
    folder = root / version
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        if not isinstance(manifest, dict) or manifest.get("version") != version:
            raise ArtifactInvalid(f"{version}: the manifest is of another version")
        if manifest.get("format") != FORMAT:
            raise ArtifactInvalid(f"{version}: format {manifest.get('format')!r}, this reader knows {FORMAT}")
        arrays = {name: _read_array(folder, name, entry) for name, entry in manifest["arrays"].items()}
    except ArtifactInvalid:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactInvalid(f"{version}: {type(error).__name__}: {error}") from error
    return Artifact(version, manifest, arrays)


def _write_array(folder: Path, name: str, array: Array) -> dict[str, Any]:
    if not _NAME.fullmatch(name) or array.dtype.name not in _DTYPES:
        raise ArtifactInvalid(f"{name}: dtype {array.dtype.name} cannot be published")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ArtifactInvalid(f"{name}: holds NaN or infinity")
    path = folder / f"{name}.npy"
    with path.open("wb") as file:
        np.save(file, np.ascontiguousarray(array), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    return {"shape": list(array.shape), "dtype": array.dtype.name, "bytes": path.stat().st_size, "sha256": _hash(path)}


def _read_array(folder: Path, name: str, entry: dict[str, Any]) -> Array:
    if not _NAME.fullmatch(name):
        raise ArtifactInvalid(f"{name!r}: not an array name")
    path = folder / f"{name}.npy"
    # Size and hash first: a parser never sees bytes that are not the ones that were written.
    if path.is_symlink() or path.stat().st_size != entry["bytes"] or entry["bytes"] > MAX_ARRAY_BYTES:
        raise ArtifactInvalid(f"{name}: the file has another size than the manifest says")
    if _hash(path) != entry["sha256"]:
        raise ArtifactInvalid(f"{name}: the file differs from its checksum")
    array = np.load(path, mmap_mode="r", allow_pickle=False) if entry["bytes"] else np.empty(0)
    if list(array.shape) != entry["shape"] or array.dtype.name != entry["dtype"] or entry["dtype"] not in _DTYPES:
        raise ArtifactInvalid(f"{name}: {array.dtype.name} {array.shape}, manifest says {entry['dtype']}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ArtifactInvalid(f"{name}: holds NaN or infinity")
    return array


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
