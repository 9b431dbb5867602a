"""What this worker answers from at this moment: the model, the catalogue, and what follows from both.

One reference is swapped whole, so an answer never mixes two versions. A thread looks for a newer model and a
newer catalogue; a model that cannot be read is refused, counted and not looked at again.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from recsvc import artifact, metrics
from recsvc.artifact import Array
from recsvc.engine import eligibility, lists, offers
from recsvc.engine.eligibility import Shelf
from recsvc.engine.history import EMPTY
from recsvc.engine.model import Model, from_artifact
from recsvc.errors import ArtifactInvalid
from recsvc.store import live
from recsvc.store.database import MICROSECONDS
from recsvc.store.live import Catalogue, Live, State

log = structlog.get_logger("recsvc.current")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent view. `model`, `shelf` and `book` are None until something was published."""

    state: State
    model: Model | None
    shelf: Shelf | None
    book: offers.OfferBook | None
    availability: eligibility.Availability | None
    categories: dict[str, Array]

    @property
    def catalogue(self) -> Catalogue:
        """The items and offers."""
        return self.state.catalogue

    @property
    def version(self) -> str:
        """The model's version, or `none`."""
        return self.model.version if self.model else "none"


class Current:
    """Holds the newest `Snapshot`."""

    def __init__(self, live_state: Live, artifacts: Path, poll_seconds: float) -> None:
        self._live, self._artifacts, self._poll = live_state, artifacts, poll_seconds
        self._refused: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.snapshot = Snapshot(live_state.state, None, None, None, None, {})
        self.refresh(time.time())

    def start(self) -> None:
        """Look for something newer from now on, in a thread of this process."""
        threading.Thread(target=self._watch, name="current", daemon=True).start()

    def stop(self) -> None:
        """Stop looking."""
        self._stop.set()

    def ended(self, seconds: float) -> bool:
        """Wait; whether meanwhile it was stopped."""
        return self._stop.wait(seconds)

    def refresh(self, now: float) -> Snapshot:
        """Take up a newer catalogue or model when there is one, and return the snapshot in use."""
        with self._lock:
            old = self.snapshot
            state = self._live.refresh()
            model = self._newest(old.model)
            if model is None:
                self.snapshot = Snapshot(state, None, None, None, None, {})
            elif model is not old.model or state.catalogue is not old.state.catalogue:
                self.snapshot = _build(state, model, now)
            else:
                shelf = old.shelf
                if shelf is None or now >= shelf.until:
                    assert old.availability is not None
                    shelf = eligibility.shelf(old.availability, now)
                if state is not old.state or shelf is not old.shelf:
                    self.snapshot = Snapshot(state, model, shelf, old.book, old.availability, old.categories)
            return self.snapshot

    def _newest(self, known: Model | None) -> Model | None:
        """Return the model to use: the current one, else the one in use, else the newest that can be read."""
        try:
            version = artifact.current(self._artifacts)
        except (ArtifactInvalid, OSError) as error:
            self._refuse("current", error)
            version = None
        wanted = [version] if version else []
        if known is None and version is not None:
            # A worker that starts while the newest is damaged has nothing in use to keep.
            wanted += [one for one in artifact.versions(self._artifacts) if one != version]
        for one in wanted:
            if known is not None and one == known.version:
                return known
            model = self._load(one)
            if model is not None:
                return model
        return known

    def _load(self, version: str) -> Model | None:
        if version in self._refused:
            return None
        try:
            model = from_artifact(artifact.read(self._artifacts, version))
        except (ArtifactInvalid, OSError) as error:
            self._refuse(version, error)
            return None
        metrics.RELOADS.labels("loaded").inc()
        metrics.MODEL.set(model.published_at)
        log.info("model loaded", version=model.version, items=model.n_items)
        return model

    def _refuse(self, name: str, error: Exception) -> None:
        if name not in self._refused:
            self._refused.add(name)
            log.error("model refused, keeping the one in use", version=name, why=str(error))
            metrics.RELOADS.labels("refused").inc()

    def _watch(self) -> None:
        while not self._stop.wait(self._poll):
            try:
                self.refresh(time.time())
            except Exception:  # the watcher must outlive whatever one look runs into
                log.exception("refresh failed, keeping what is in use")


def _build(state: State, model: Model, now: float) -> Snapshot:
    catalogue = state.catalogue
    availability = eligibility.Availability(*live.columns(catalogue, model.item_ids))
    shelf = eligibility.shelf(availability, now)
    # One list for nobody: the first reader of a mapped file pays for its pages, and that shall be no customer.
    lists.personal(model, EMPTY, shelf, np.empty(0, np.int64), 1)
    return Snapshot(state, model, shelf, _book(model, catalogue), availability, _categories(model, catalogue))


def _book(model: Model, catalogue: Catalogue) -> offers.OfferBook:
    rows = [
        np.array(sorted(model.rows[one] for one in offer.items if one in model.rows), np.int32)
        for offer in catalogue.offers
    ]
    active = np.array([bool(offer.active) for offer in catalogue.offers], bool)
    starts = np.array([_seconds(offer.starts_at, -np.inf) for offer in catalogue.offers], np.float64)
    ends = np.array([_seconds(offer.ends_at, np.inf) for offer in catalogue.offers], np.float64)
    return offers.book(model, rows, active, starts, ends)


def _categories(model: Model, catalogue: Catalogue) -> dict[str, Array]:
    """Return category → item rows."""
    found: dict[str, list[int]] = {}
    for row, item_id in enumerate(model.item_ids):
        item = catalogue.items.get(item_id)
        for name in item.categories if item else ():
            found.setdefault(name, []).append(row)
    return {name: np.array(rows, np.int32) for name, rows in found.items()}


def _seconds(micro: Any, otherwise: float) -> float:
    return otherwise if micro is None else float(micro) / MICROSECONDS
