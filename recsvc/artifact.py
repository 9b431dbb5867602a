"""The artifact: the one thing training hands to the service.

An artifact is a folder of plain arrays and a manifest. Once published it never changes; `current` is a
one-line file naming the version in use, `promotions` the record of what it named when. An artifact is written beside,
synced, renamed, and only then is the pointer replaced, so a kill at any moment leaves the old version or the new one in
use, both whole.

Why not one .npz: it cannot be memory-mapped, so every worker would hold its own copy. Why not pickle: it
runs code from the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recsvc import promotions, roots, verified
from recsvc.errors import ArtifactInvalid
from recsvc.roots import VERSION_PATTERN

FORMAT: Final = 1
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
    """Write one artifact and make it the current one. Returns its folder; arguments and errors as `write`."""
    folder = write(root, version, arrays, manifest)
    point(root, folder.name)
    return folder


def write(root: Path, version: str, arrays: dict[str, Array], manifest: dict[str, Any]) -> Path:
    """Write one artifact without making it the current one. Returns its folder, whose name is the version.

    Args:
        root: the artifact folder; made when missing.
        version: from `new_version`; when another process has it already, the next that is free is taken.
        arrays: name → array of a plain dtype, all finite.
        manifest: what the run says of itself; `format`, `version` and `arrays` are added here.

    Raises:
        ArtifactInvalid: a name, dtype or value that the reader would refuse.
    """
    with roots.beside(root, version) as (beside, name):
        entries = {one: _write_array(beside, one, array) for one, array in sorted(arrays.items())}
        full = sealed({**manifest, "format": FORMAT, "version": name, "arrays": entries})
        roots.write_synced(beside / "manifest.json", json.dumps(full, indent=1, ensure_ascii=False).encode())
        return roots.settle(beside, name)


def point(root: Path, version: str, how: str = promotions.PROMOTED) -> None:
    """Make `version` the current one, in one atomic replacement, and add it to the record of promotions."""
    with roots.alone(root):
        try:
            in_use = current(root)
        except ArtifactInvalid:
            in_use = None
        lines = promotions.addition(_record(root), in_use, version, how, datetime.now(UTC))
        roots.write_synced(root / promotions.FILE, lines.encode(), "ab")
        pointer = root / f".current.{os.getpid()}"
        roots.write_synced(pointer, f"{version}\n".encode())
        pointer.replace(root / "current")
        roots.sync(root)


def earlier(root: Path) -> list[str]:
    """Return the versions that were in use before the current one and still exist, the latest first."""
    try:
        in_use = current(root)
    except ArtifactInvalid:
        in_use = None
    trail = promotions.steps(_record(root), in_use)
    here = set(versions(root)) - {in_use}
    return [one for one in dict.fromkeys(reversed(trail)) if one in here]


def retain(root: Path, keep: int) -> list[str]:
    """Remove all but the newest `keep` versions and return what was removed, newest first.

    The current one is never removed, nor the one that was in use before it.
    """
    with roots.alone(root):
        roots.sweep(root)
        try:
            kept = {current(root), *earlier(root)[:1]}
        except ArtifactInvalid:
            return []  # nobody can say what is in use
        gone = [one for one in versions(root)[keep:] if one not in kept]
        for one in gone:
            roots.remove(root, one)
        roots.sync(root)
    return gone


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


def pointed(root: Path) -> tuple[int, int] | None:
    """Return what tells one replacement of the pointer from the next, or None when there is no pointer."""
    try:
        stat = (root / "current").stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def versions(root: Path) -> list[str]:
    """Return the published versions, newest first."""
    try:
        names = [one.name for one in root.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((name for name in names if VERSION_PATTERN.fullmatch(name)), reverse=True)


def read(root: Path, version: str) -> Artifact:
    """Return the artifact `version`, every file compared with the manifest before it is parsed.

    Files that a process of this host compared before, and that did not change since, are not hashed again.

    Raises:
        ArtifactInvalid: missing, damaged, non-finite, of another shape or of a newer format; names the array.
    """
    folder = root / version
    try:
        content = (folder / "manifest.json").read_bytes()
        manifest = parse_manifest(content, version)
        with verified.once(root, version, files(manifest), content) as needed:
            return Artifact(version, manifest, _read_arrays(folder, manifest, needed))
    except OSError as error:
        raise _unreadable(version, error) from error


def verify(folder: Path, version: str) -> dict[str, Any]:
    """Compare every file of a folder that is, or is to become, `version` with its manifest, which is returned.

    Whatever was verified before, and without writing anything.

    Raises:
        ArtifactInvalid: as `read`.
    """
    try:
        manifest = parse_manifest((folder / "manifest.json").read_bytes(), version)
        _read_arrays(folder, manifest, True)
    except OSError as error:
        raise _unreadable(version, error) from error
    return manifest


def files(manifest: dict[str, Any]) -> list[str]:
    """Return the names of a version's files besides its manifest.

    Raises:
        ArtifactInvalid: the manifest names no arrays, or one that is no name.
    """
    arrays = manifest.get("arrays")
    if not isinstance(arrays, dict):
        raise ArtifactInvalid(f"{manifest['version']}: the manifest has no arrays")
    return [_file(name) for name in arrays]


def read_manifest(root: Path, version: str) -> dict[str, Any]:
    """Return what a version says of itself, without looking at its arrays.

    Raises:
        ArtifactInvalid: missing, damaged, of another version or of another format.
    """
    try:
        return parse_manifest((root / version / "manifest.json").read_bytes(), version)
    except OSError as error:
        raise _unreadable(version, error) from error


def missed(root: Path, version: str, manifest: dict[str, Any]) -> str | None:
    """Return which file of a version is not there, or not as long as its manifest says, or None.

    What the files hold is not looked at: so it costs nothing, and finds what was lost or cut short.
    """
    try:
        for name in [file.removesuffix(".npy") for file in files(manifest)]:
            _check_size(root / version / _file(name), name, manifest["arrays"][name])
    except OSError as error:
        return _unreadable(version, error).message
    except ArtifactInvalid as error:
        return error.message
    return None


def parse_manifest(content: bytes, version: str) -> dict[str, Any]:
    """Return the manifest in `content`.

    Raises:
        ArtifactInvalid: as `read_manifest`.
    """
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArtifactInvalid(f"{version}: the manifest is no JSON: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("version") != version:
        raise ArtifactInvalid(f"{version}: the manifest is of another version")
    if manifest.get("format") != FORMAT:
        raise ArtifactInvalid(f"{version}: format {manifest.get('format')!r}, this reader knows {FORMAT}")
    if manifest.get("sha256") != sealed(manifest)["sha256"]:
        raise ArtifactInvalid(f"{version}: the manifest differs from its checksum, or has none")
    return manifest


def sealed(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest with the checksum of all it says, `sha256`, as it is after a turn through JSON."""
    said = json.loads(json.dumps({name: value for name, value in manifest.items() if name != "sha256"}))
    return {**said, "sha256": hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()}


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


def _unreadable(version: str, error: OSError) -> ArtifactInvalid:
    # The file's name alone: where the folder lies is not for everybody who may ask for the reason.
    name = Path(str(error.filename)).name if error.filename else "a file"
    return ArtifactInvalid(f"{version}: {name}: {error.strerror or type(error).__name__}")


def _file(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ArtifactInvalid(f"{name!r}: not an array name")
    return f"{name}.npy"


def _read_arrays(folder: Path, manifest: dict[str, Any], unverified: bool) -> dict[str, Array]:
    files(manifest)
    try:
        return {name: _read_array(folder, name, entry, unverified) for name, entry in manifest["arrays"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ArtifactInvalid(f"{manifest['version']}: {type(error).__name__}: {error}") from error


def _read_array(folder: Path, name: str, entry: dict[str, Any], unverified: bool) -> Array:
    path = folder / _file(name)
    # Size and hash first: a parser never sees bytes that are not the ones that were written.
    _check_size(path, name, entry)
    if unverified and _hash(path) != entry["sha256"]:
        raise ArtifactInvalid(f"{name}: the file differs from its checksum")
    # Mapped, but as a plain array: a piece cut from a numpy.memmap costs ten microseconds, and a list cuts fifty.
    array = np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray) if entry["bytes"] else np.empty(0)
    if list(array.shape) != entry["shape"] or array.dtype.name != entry["dtype"] or entry["dtype"] not in _DTYPES:
        raise ArtifactInvalid(f"{name}: {array.dtype.name} {array.shape}, manifest says {entry['dtype']}")
    if unverified and array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ArtifactInvalid(f"{name}: holds NaN or infinity")
    return array


def _check_size(path: Path, name: str, entry: dict[str, Any]) -> None:
    if path.is_symlink() or path.stat().st_size != entry["bytes"] or entry["bytes"] > MAX_ARRAY_BYTES:
        raise ArtifactInvalid(f"{name}: the file has another size than the manifest says")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record(root: Path) -> str:
    try:
        return (root / promotions.FILE).read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return ""
