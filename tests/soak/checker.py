"""What must hold of every answer, judged from the answers, the writes that were acknowledged and the published models."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from pydantic import BaseModel, ValidationError

from recsvc import artifact
from recsvc.engine import lists
from recsvc.engine.model import Model, customer_row, from_artifact, hash_customer
from recsvc.intake import digest
from recsvc.store import facts
from recsvc.store.database import reading
from recsvc.store.interactions import interactions
from recsvc.web.list_outputs import PageReply, RankReply
from recsvc.web.outputs import BuyAgainReply, ListReply, RelatedReply
from tests.soak.load import QUIET, Reply
from tests.soak.writers import Absence

_REPLIES: dict[str, type[BaseModel]] = {
    "similar": RelatedReply, "bought_together": RelatedReply, "buy_again": BuyAgainReply, "page": PageReply,
    "rank": RankReply,
}  # fmt: skip
# What is promised is a second; a machine with other work beside may be granted more.
_SECOND = float(os.environ.get("RECSVC_TEST_SECOND", "1.0"))
# Of the night's list what is sensitive or out of stock is left out; the score stays what it was.
_ROUNDING = 2e-6


def shown(reply: Reply) -> list[str]:
    """Return the items of an answer, those of all blocks of a page."""
    return [item["item_id"] for one in reply.body.get("blocks", [reply.body]) for item in one["items"]]


@dataclass(slots=True)
class Checker:
    """Judges answers. wrong: what was found, a sentence each."""

    models: dict[str, Model]
    scores: dict[tuple[str, str], dict[str, float]]
    wrong: list[str] = field(default_factory=list)

    def judge(self, reply: Reply) -> None:
        """Look at one answer alone: its status, form, items and version."""
        name = f"{reply.question.method} {reply.question.path}"
        if not 200 <= reply.status < 300:
            self.wrong.append(f"{name}: status {reply.status} after {reply.tries} tries, {reply.seconds:.2f} s")
            return
        try:
            _REPLIES.get(reply.question.kind, ListReply).model_validate(reply.body)
        except ValidationError as error:
            self.wrong.append(f"{name}: {error.errors()[0]['msg']}")
            return
        ids = shown(reply)
        if len(set(ids)) < len(ids):
            self.wrong.append(f"{name}: an item twice")
        versions = {one["model_version"] for one in [reply.body, *reply.body.get("blocks", [])]}
        if len(versions) > 1 or not versions <= self.models.keys():
            self.wrong.append(f"{name}: from {versions}, not one that was published whole")
        elif reply.question.customer_id in QUIET and reply.question.kind == "recommendations":
            self._one_version(name, reply)

    def _one_version(self, name: str, reply: Reply) -> None:
        """The list of who did nothing since is the night's, with the scores of the version it names."""
        assert reply.question.customer_id is not None
        night = self.scores[reply.body["model_version"], reply.question.customer_id]
        for one in reply.body["items"]:
            if abs(night.get(one["item_id"], 1e9) - one["score"]) > _ROUNDING:
                self.wrong.append(f"{name}: {one['item_id']} is not of {reply.body['model_version']}")
                return

    def eligible(self, replies: list[Reply], absences: list[Absence]) -> int:
        """Look that nothing was shown a second after it was out of stock or turned down. Returns how many it saw.

        Who the database cannot be asked about is shown what the night knew, and the answer says so.
        """
        seen = 0
        by_item: dict[str, list[Absence]] = {}
        for one in absences:
            by_item.setdefault(one.item_id, []).append(one)
        for reply in replies:
            if not reply.body:
                continue
            for absence in (one for item_id in by_item.keys() & shown(reply) for one in by_item[item_id]):
                seen += 1
                if absence.customer_id is not None and (
                    absence.customer_id != reply.question.customer_id
                    or "database" in reply.degraded
                    or reply.question.kind in {"buy_again", "rank"}  # what they are asked about is shown
                ):
                    continue
                if reply.asked_at > absence.since + _SECOND and reply.answered_at < absence.until:
                    late = reply.asked_at - absence.since
                    why = "turned down" if absence.customer_id else "out of stock"
                    self.wrong.append(f"{reply.question.path}: {absence.item_id} {late:.2f} s after it was {why}")
        return seen

    def stored(self, engine: sa.Engine, acknowledged: list[str]) -> None:
        """Look that every acknowledged interaction is in the store, once."""
        with reading(engine, 60) as connection:
            counts: dict[bytes, int] = {}
            for one in connection.scalars(sa.select(interactions.c.digest)):
                counts[bytes(one)] = counts.get(bytes(one), 0) + 1
        lost = [name for name in acknowledged if counts.get(digest(name)) != 1]
        self.wrong += [f"{name}: acknowledged, and stored {counts.get(digest(name), 0)} times" for name in lost]


def checker(root: Path, versions: tuple[str, str], engine: sa.Engine) -> Checker:
    """Return a checker that knows what each version says to each quiet customer."""
    models = {version: from_artifact(artifact.read(root, version)) for version in versions}
    secret = facts.read(engine).customer_secret
    scores = {}
    for version, model in models.items():
        for customer in QUIET:
            night = lists.finished(model, customer_row(model, hash_customer(customer, secret)))
            scores[version, customer] = {
                model.item_ids[row]: float(score) for row, score in zip(night.rows, night.scores, strict=True)
            }
    return Checker(models, scores)
