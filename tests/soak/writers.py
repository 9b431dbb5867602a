"""What goes on in the shop meanwhile: stock runs out and comes back, customers look, buy and turn things down."""

from __future__ import annotations

import http.client
import random
import threading
import time
from dataclasses import dataclass
from typing import Any

from tests.soak.load import BUSY, Shop

_AT_ONCE = 5


@dataclass(slots=True)
class Absence:
    """An item that must not be shown to a customer (None: to anybody) between two moments (epoch seconds)."""

    item_id: str
    customer_id: str | None
    since: float
    until: float = float("inf")


class Writers:
    """Two threads that write until told to stop. absences: what their acknowledged writes forbid to show.
    acknowledged: ids of interactions that were. refused: how many writes the service could not take."""

    def __init__(self, shop: Shop, rng: random.Random) -> None:
        self._shop, self._rng = shop, rng
        self._stop = threading.Event()
        # Held while the database does not answer: nobody then tells other workers what one has just taken.
        self.calm = threading.Lock()
        self.absences: list[Absence] = []
        self.acknowledged: list[str] = []
        self.stock_changes = self.refused = 0
        self._threads = [threading.Thread(target=one) for one in (self._stock, self._customers)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, method: str, path: str, body: Any) -> bool:
        """Whether it was acknowledged."""
        try:
            status, _, _ = self._shop.ask(method, path, body)
        except (OSError, ValueError, http.client.HTTPException):
            status = 0
        self.refused += status != 200
        return status == 200

    def _stock(self) -> None:
        """Take a few items out of stock for two seconds, then let them come back."""
        while not self._stop.is_set():
            kind = self._rng.choice(["coffee", "tea"])
            chosen = [f"{kind}-{n:02}" for n in self._rng.sample(range(25), _AT_ONCE)]
            gone = []
            with self.calm:
                for item_id in chosen:
                    if self._write("PATCH", f"/v1/items/{item_id}", {"stock": 0}):
                        gone.append(Absence(item_id, None, time.time()))
                self._stop.wait(0.6)  # as long as the other workers may take to hear of it
            self.absences += gone
            self.stock_changes += len(gone)
            self._stop.wait(1.4)
            for absence in gone:
                absence.until = time.time()
                while not self._write("PATCH", f"/v1/items/{absence.item_id}", {"stock": None}):
                    time.sleep(0.1)
        self._shop.leave()

    def _customers(self) -> None:
        """Let a customer view things, and now and then turn one of their list down for good."""
        number = 0
        while not self._stop.wait(0.03):
            customer_id, number = self._rng.choice(BUSY), number + 1
            item_id = f"{self._rng.choice(['coffee', 'tea'])}-{self._rng.randrange(28):02}"
            kind = "dislike" if number % 10 == 0 else "view"
            name = f"soak-{number}"
            row = {"interaction_id": name, "customer_id": customer_id, "kind": kind, "item_id": item_id}
            with self.calm:
                if not self._write("POST", "/v1/interactions", row):
                    continue
                self.acknowledged.append(name)
                if kind == "dislike":
                    self.absences.append(Absence(item_id, customer_id, time.time()))
        self._shop.leave()
