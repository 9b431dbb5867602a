"""The published models: a folder, or a remote store that is mirrored to one. Everybody reads from the folder.

With a remote, a version goes there whole before its pointer does, and is verified here before the pointer here names
it. What is here stays in use while the remote is away.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsvc import artifact, promotions, roots
from recsvc.artifact import Artifact
from recsvc.errors import ArtifactInvalid, NotFound, Unavailable
from recsvc.intake import shorten
from recsvc.roots import VERSION_PATTERN
from recsvc.settings import Settings
from recsvc.store.remote import Remote


@dataclass(frozen=True, slots=True)
class Listing:
    """What is published. current: what the pointer names. versions: see `Published.listing`. away: why the remote
    could not be asked, so that this is what is here; empty when it could."""

    current: str | None
    versions: list[dict[str, Any]]
    away: str = ""


def opened(settings: Settings) -> Published:
    """Return the published models of these settings.

    Raises:
        InvalidRequest: RECSVC_ARTIFACTS is a URL that cannot be used.
    """
    return Published(settings.artifact_root, Remote(settings.artifact_url) if settings.artifact_url else None)


class Published:
    """`root`: the folder; `remote`: what it mirrors, or None. Methods that ask the remote raise Unavailable."""

    def __init__(self, root: Path, remote: Remote | None) -> None:
        self.root, self.remote = root, remote

    def listing(self, now: float) -> Listing:
        """Return every version, newest first: `version`, `current`, `published_at` (epoch seconds), `age_seconds`,
        `ordering`, `metrics` of what orders, `customers`, `items`, `interactions`, `bytes`, `problem`.

        What the manifest does not say is None. `problem` says why a version is damaged: its manifest cannot be read, or
        a file is missing or of another size; what the files hold is only looked at before use.
        """
        current, theirs, away = self._asked()
        names = sorted({*theirs, *artifact.versions(self.root)}, reverse=True)
        return Listing(current, [self._described(one, one == current, now, theirs) for one in names], away)

    def names(self) -> tuple[str | None, list[str]]:
        """Return what the pointer names, and every version, newest first; while the remote is away those here."""
        current, theirs, _ = self._asked()
        return current, sorted({*theirs, *artifact.versions(self.root)}, reverse=True)

    def _asked(self) -> tuple[str | None, dict[str, int], str]:
        """Return what the pointer names, the versions of the remote with their bytes, and why it could not be asked."""
        if self.remote is None:
            return _current(self.root), {}, ""
        try:
            return self.remote.current(), self.remote.versions(), ""
        except Unavailable as error:
            return _current(self.root), {}, error.message

    def fetch(self, version: str) -> Artifact:
        """Return a version, verified; from the remote when it is not here, or damaged here.

        Raises:
            NotFound: there is none of that name; the message has the nearest.
            ArtifactInvalid: it is damaged.
        """
        if version not in artifact.versions(self.root):
            self._pull(version)
        try:
            return artifact.read(self.root, version)
        except ArtifactInvalid:
            if self.remote is None or version not in self.remote.versions():
                raise
        with roots.alone(self.root):
            roots.remove(self.root, version)
        self._pull(version)
        return artifact.read(self.root, version)

    def use(self, version: str, how: str = promotions.PROMOTED) -> None:
        """Make a version that was fetched the current one, with the remote first."""
        if self.remote is not None:
            if version not in self.remote.versions():
                self.remote.upload(self.root / version)
            with roots.alone(self.root, ".point.lock"):
                self.remote.point(version, how)
        artifact.point(self.root, version, how)

    def upload(self, version: str) -> None:
        """Have a version that was written here in the remote too, without pointing to it."""
        if self.remote is not None:
            self.remote.upload(self.root / version)

    def earlier(self) -> list[str]:
        """Return the versions that were in use before the current one and still exist, the latest first."""
        if self.remote is None:
            return artifact.earlier(self.root)
        current, there = self.remote.current(), self.remote.versions()
        trail = promotions.steps(self.remote.record(), current)
        return [one for one in dict.fromkeys(reversed(trail)) if one in there and one != current]

    def retain(self, keep: int) -> None:
        """Remove all but the newest `keep` versions, the one in use and the one in use before it."""
        if self.remote is not None:
            self.remote.remove({self.remote.current() or "", *self.earlier()[:1]}, keep)
        artifact.retain(self.root, keep)

    def follow(self) -> str | None:
        """Bring what the remote's pointer names here, verify it, point to it; return it, or None when it is in use.

        Without a remote there is nothing to do.

        Raises:
            ArtifactInvalid: damaged; what is here stays in use. Unavailable: the remote is away.
        """
        wanted = None if self.remote is None else self.remote.current()
        if self.remote is None or wanted is None or wanted == _current(self.root):
            return None
        if not VERSION_PATTERN.fullmatch(wanted):
            raise ArtifactInvalid("current: does not hold a version name")
        try:
            self.fetch(wanted)
        except NotFound as error:
            raise ArtifactInvalid(error.message) from error
        artifact.point(self.root, wanted)
        self._drop(set(self.remote.versions()), wanted)
        return wanted

    def _pull(self, version: str) -> None:
        """Bring a version here, whole and verified. One process of this host at a time; the others then find it."""
        if self.remote is None or not VERSION_PATTERN.fullmatch(version) or version not in self.remote.versions():
            raise self._missing(version)
        self.root.mkdir(parents=True, exist_ok=True)
        with roots.alone(self.root, ".pull.lock"):
            if (self.root / version).exists():
                return
            with roots.beside(self.root, version) as (folder, _):
                content = self.remote.manifest(version)
                roots.write_synced(folder / "manifest.json", content)
                names = artifact.files(artifact.parse_manifest(content, version))
                try:
                    self.remote.download(version, names, folder)
                except FileNotFoundError as error:
                    raise ArtifactInvalid(f"{version}: a file is missing in the remote: {error}") from None
                artifact.verify(folder, version)
                for name in names:
                    roots.sync(folder / name)
                roots.settle(folder, version)

    def _drop(self, theirs: set[str], wanted: str) -> None:
        """Remove here what the remote has no more; what is newer than its current one may still be on its way there."""
        kept = {wanted, *artifact.earlier(self.root)[:1]}
        with roots.alone(self.root):
            for one in artifact.versions(self.root):
                if one not in theirs and one not in kept and one < wanted:
                    roots.remove(self.root, one)

    def _missing(self, version: str) -> NotFound:
        known = {*artifact.versions(self.root), *(self.remote.versions() if self.remote else ())}
        close = difflib.get_close_matches(version, known, n=1, cutoff=0.3)
        nearest = f", did you mean {close[0]}?" if close else ", nothing was published" if not known else ""
        return NotFound(f"version: {shorten(version)} does not exist{nearest}", {"version": "does not exist"})

    def _described(self, version: str, current: bool, now: float, theirs: dict[str, int]) -> dict[str, Any]:
        manifest: dict[str, Any] = {}
        problem: str | None = None
        try:
            if (self.root / version).exists() or self.remote is None:
                manifest = artifact.read_manifest(self.root, version)
                problem = artifact.missed(self.root, version, manifest)
            else:
                content = self.remote.manifest(version)
                manifest = artifact.parse_manifest(content, version)
                if theirs.get(version, 0) < len(content) + sum(one["bytes"] for one in manifest["arrays"].values()):
                    problem = f"{version}: files of it are missing in the remote, or cut short"
        except (ArtifactInvalid, NotFound, Unavailable) as error:
            problem = error.message
        except (KeyError, TypeError, AttributeError):
            problem = f"{version}: the manifest does not say what files there are"
        return {
            "version": version, "current": current, **_said(manifest, now),
            "bytes": theirs[version] if version in theirs else _bytes(self.root / version), "problem": problem,
        }  # fmt: skip


def _said(manifest: dict[str, Any], now: float) -> dict[str, Any]:
    """Return what is shown of a manifest, which may have been edited by hand."""
    at = _number(manifest.get("published_at"))
    ordering = manifest.get("ordering")
    row = _mapping(_mapping(manifest.get("metrics")).get(str(ordering)))
    counts = _mapping(manifest.get("counts"))
    return {
        "published_at": at, "age_seconds": None if at is None else max(0.0, round(now - at, 3)),
        "ordering": ordering if isinstance(ordering, str) else None,
        "metrics": {str(name): value for name, value in row.items() if _number(value) is not None},
        **{name: counts.get(name) if isinstance(counts.get(name), int) else None
           for name in ("customers", "items", "interactions")},
    }  # fmt: skip


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and abs(value) < 1e15 else None


def _bytes(folder: Path) -> int | None:
    try:
        return sum(path.stat().st_size for path in folder.iterdir())
    except OSError:
        return None


def _current(root: Path) -> str | None:
    try:
        return artifact.current(root)
    except (ArtifactInvalid, OSError):
        return None
