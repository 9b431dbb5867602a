"""What this worker answers from at this moment: the model, the catalogue, and what follows from both.

One reference is swapped whole, so an answer never mixes two versions. A thread looks for a newer model and a
newer catalogue; a model that cannot be read is refused, counted and not looked at again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import sqlalchemy as sa
import structlog

from recsvc import artifact, metrics
from recsvc.artifact import Array
from recsvc.engine import eligibility, lists, rules, traits
from recsvc.engine.eligibility import Shelf
from recsvc.engine.history import EMPTY
from recsvc.engine.model import Model, from_artifact
from recsvc.engine.rules import Plan, Rulebook
from recsvc.engine.traits import Traits
from recsvc.errors import ArtifactInvalid
from recsvc.flows import newcomers, offered, rulebooks
from recsvc.flows.newcomers import Newcomers
from recsvc.flows.offered import Offered
from recsvc.flows.sales import Lately
from recsvc.store import interactions, live
from recsvc.store.database import MICROSECONDS
from recsvc.store.live import Catalogue, Live, State

log = structlog.get_logger("recsvc.current")
_RETRY_SECONDS = 60.0
_SOLD_SECONDS, _SOLD_DAYS, _SOLD_ITEMS = 60.0, 90, 1000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent view. All but `state` is None until something was published; `rules` is empty then.

    changes: (n,) int64, the catalogue's change number at which each item of the model last changed in more than stock.
    """

    state: State
    model: Model | None
    shelf: Shelf | None
    offered: Offered | None
    availability: eligibility.Availability | None
    traits: Traits | None
    changes: Array | None = None
    rules: Rulebook = field(default_factory=Rulebook)
    newcomers: Newcomers = field(default_factory=Newcomers)

    def plan(self, placement: str) -> Plan:
        """Return what the rules and the filter of a placement make of it now."""
        return self.rules.plan(placement)

    @property
    def catalogue(self) -> Catalogue:
        """The items and offers."""
        return self.state.catalogue

    @property
    def categories(self) -> Mapping[str, Array]:
        """Category → item rows."""
        return self.traits.categories if self.traits else {}

    @property
    def version(self) -> str:
        """The model's version, or `none`."""
        return self.model.version if self.model else "none"

    @property
    def lacks(self) -> tuple[str, ...]:
        """What is missing from every answer."""
        return (("database",) if self.state.copied else ()) + (("model",) if self.model is None else ())


class Current:
    """Holds the newest `Snapshot`."""

    def __init__(self, engine: sa.Engine, live_state: Live, artifacts: Path, poll_seconds: float) -> None:
        self._engine = engine
        self._live, self._artifacts, self._poll = live_state, artifacts, poll_seconds
        self._refused: dict[str, tuple[float, str]] = {}
        self._pointed: tuple[int, int] | None = None
        self._sold: tuple[float, list[tuple[str, int]] | None] = (-_SOLD_SECONDS, None)
        self._sold_lock = threading.Lock()
        self.lately = Lately(engine)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.snapshot = Snapshot(live_state.state, None, None, None, None, None)
        self.settle(time.time())

    def start(self, first: Callable[[], None]) -> None:
        """Look for something newer from now on, in a thread of this process, after doing `first` in it."""
        threading.Thread(target=self._watch, args=(first,), name="current", daemon=True).start()

    def stop(self) -> None:
        """Stop looking."""
        self._stop.set()

    def ended(self, seconds: float) -> bool:
        """Wait; whether meanwhile it was stopped."""
        return self._stop.wait(seconds)

    def refresh(self, now: float) -> Snapshot:
        """Take up a newer catalogue or model when there is one, and return the snapshot in use."""
        self._live.refresh()
        snapshot = self.settle(now)
        if self.lately.due(snapshot.model):
            self.count()
        return snapshot

    def count(self) -> None:
        """Count what sold since the model, when the model was made from this database."""
        snapshot = self.snapshot
        if snapshot.model is not None and snapshot.model.database_id == snapshot.state.facts.database_id:
            self.lately.count(snapshot.model, snapshot.model.last_revision)

    def settle(self, now: float) -> Snapshot:
        """Make the snapshot that is right at `now` of what is known, without asking the database."""
        with self._lock:
            old, state = self.snapshot, self._live.state
            model = self._newest(old.model)
            if model is None:
                if old.offered is None or state.catalogue is not old.state.catalogue:
                    old = replace(old, offered=offered.of(state.catalogue.offers))
                self.snapshot = Snapshot(state, None, None, old.offered, None, None)
            elif model is not old.model or state.catalogue is not old.state.catalogue:
                self.snapshot = _renew(old, state, now) if model is old.model else _build(state, model, now)
            else:
                self.snapshot = _turned(old, state, now)
            return self.snapshot

    def refused(self) -> dict[str, str]:
        """Return what could not be read, and why: versions, or `current` for the pointer."""
        with self._lock:
            return {name: why for name, (_, why) in self._refused.items()}

    def refuse(self, name: str, error: Exception) -> None:
        """Count, log and remember what could not be read; once a minute."""
        if self._rests(name):
            return
        self._refused[name] = time.monotonic(), str(error)
        log.error("model refused, keeping the one in use", version=name, why=str(error))
        metrics.RELOADS.labels("refused").inc()

    def _rests(self, name: str) -> bool:
        # What could not be read may be whole a minute later: a copy still under way, a disk that was away.
        return time.monotonic() - self._refused.get(name, (-_RETRY_SECONDS, ""))[0] < _RETRY_SECONDS

    def _newest(self, known: Model | None) -> Model | None:
        """Return the model to use: the current one, else the one in use, else the newest that can be read."""
        pointed = artifact.pointed(self._artifacts)
        if pointed != self._pointed:
            # Who points anew wants it looked at now.
            self._refused = {name: (-_RETRY_SECONDS, why) for name, (_, why) in self._refused.items()}
            self._pointed = pointed
        try:
            version = artifact.current(self._artifacts)
        except (ArtifactInvalid, OSError) as error:
            self.refuse("current", error)
            version = None
        wanted = [version] if version else []
        if known is None:
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
        if self._rests(version):
            return None
        try:
            model = from_artifact(artifact.read(self._artifacts, version))
        except (ArtifactInvalid, OSError) as error:
            self.refuse(version, error)
            return None
        self._refused.pop(version, None)
        self._refused.pop("current", None)
        metrics.RELOADS.labels("loaded").inc()
        metrics.MODEL.set(model.published_at)
        log.info("model loaded", version=model.version, items=model.n_items)
        return model

    def sold(self, now: float) -> list[tuple[str, int]] | None:
        """Return what sold most in the last 90 days, for a shop without a model; None when the store is away.

        Counting a million rows takes a quarter of a second, so it is done once a minute, by one request.
        """
        if self.snapshot.state.copied:
            return None
        with self._sold_lock:
            if time.monotonic() - self._sold[0] >= _SOLD_SECONDS:
                try:
                    after = int((now - _SOLD_DAYS * 86400) * MICROSECONDS)
                    found = interactions.bestsellers(self._engine, after, _SOLD_ITEMS)
                except sa.exc.SQLAlchemyError:
                    return self._sold[1]
                self._sold = (time.monotonic(), found)
            return self._sold[1]

    def _watch(self, first: Callable[[], None]) -> None:
        first()
        while not self._stop.wait(self._poll):
            try:
                self.refresh(time.time())
            except Exception:  # the watcher must outlive whatever one look runs into
                log.exception("refresh failed, keeping what is in use")


def _build(state: State, model: Model, now: float) -> Snapshot:
    catalogue = state.catalogue
    availability = eligibility.Availability(*live.columns(catalogue, model.item_ids))
    known = traits.of(model.item_ids, model.rows, catalogue.items)
    book = rulebooks.book(state.rules, known, now)
    fresh = newcomers.of(catalogue, model, now)
    shelf = _shelf(availability, model, min(book.until, fresh.until), now)
    book = rules.marked(book, shelf, _settings(state))
    # One list for nobody: the first reader of a mapped file pays for its pages, and that shall be no customer.
    lists.personal(model, EMPTY, shelf, np.empty(0, np.int64), 1)
    changes = live.changes(catalogue, model.item_ids)
    found = offered.with_model(offered.of(catalogue.offers), model, known)
    return Snapshot(state, model, shelf, found, availability, known, changes, book, fresh)


def _renew(old: Snapshot, state: State, now: float) -> Snapshot:
    """Return the snapshot of a newer catalogue for the same model, touching only what differs: stock and prices change
    all day, and a full build of 68,000 items holds the interpreter for a third of a second."""
    new, before = state.catalogue, old.catalogue
    model, availability = old.model, old.availability
    assert model is not None and availability is not None
    if new.changed is None or new.since != before.change:
        return _build(state, model, now)
    ids = [one for one in new.changed if one in model.rows]
    rows = np.array([model.rows[one] for one in ids], np.int64)
    parts = []
    for known, fresh in zip(_columns(availability), live.columns(new, ids), strict=True):
        parts.append(known.copy())
        parts[-1][rows] = fresh
    fresh_availability = eligibility.Availability(*parts)
    assert old.traits is not None
    known_traits = traits.renewed(old.traits, ids, new.items, before.items)
    found = old.offered
    if found is None or before.offers != new.offers:
        found = offered.with_model(offered.of(new.offers), model, known_traits)
    if state.rules is old.state.rules:
        rulebook = rules.renewed(old.rules, known_traits, ids, new.items, now)
    else:
        rulebook = rulebooks.book(state.rules, known_traits, now)
    fresh = newcomers.renewed(old.newcomers, new, model, now)
    shelf = _shelf(fresh_availability, model, min(rulebook.until, fresh.until), now)
    rulebook = rules.marked(rulebook, shelf, _settings(state))
    return Snapshot(
        state, model, shelf, found, fresh_availability, known_traits, _changes(old, new, ids), rulebook, fresh
    )


def _changes(old: Snapshot, new: Catalogue, ids: list[str]) -> Array:
    """Return the change numbers of the items, those of `ids` renewed. Stock is left out: it moves with every sale, and
    whether an item may be shown is looked up for each answer."""
    assert old.changes is not None and old.model is not None
    moved = [one for one in ids if not live.alike(old.catalogue.items.get(one), new.items.get(one))]
    found = old.changes.copy()
    found[[old.model.rows[one] for one in moved]] = live.changes(new, moved)
    return found


def _turned(old: Snapshot, state: State, now: float) -> Snapshot:
    """Return the snapshot of the same model and catalogue later: with other rules, or beyond a date."""
    assert old.model is not None and old.traits is not None and old.shelf is not None and old.availability is not None
    rulebook, shelf = old.rules, old.shelf
    if state.rules is not old.state.rules:
        rulebook = rulebooks.book(state.rules, old.traits, now)
    elif now >= rulebook.until:
        rulebook = rules.at(rulebook, now)
    fresh = old.newcomers if now < old.newcomers.until else newcomers.of(old.catalogue, old.model, now)
    if now >= shelf.until or rulebook is not old.rules:
        shelf = _shelf(old.availability, old.model, min(rulebook.until, fresh.until), now)
        rulebook = rules.marked(rulebook, shelf, _settings(state))
    if state is old.state and shelf is old.shelf:
        return old
    return replace(old, state=state, shelf=shelf, rules=rulebook, newcomers=fresh)


def _settings(state: State) -> str:
    return repr([tuple(row) for row in state.rules.placements.values()]) if state.rules.placements else ""


def _shelf(availability: eligibility.Availability, model: Model, until: float, now: float) -> Shelf:
    """Return the shelf, stale also at `until`: when a rule or a newcomer's time starts or ends."""
    found = eligibility.shelf(availability, now, model.a["karma"])
    return replace(found, until=min(found.until, until))


def _columns(availability: eligibility.Availability) -> list[Array]:
    return [getattr(availability, name) for name in eligibility.Availability.__slots__]
