"""What a check is, what it is made beside, and the verdict over all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from recsvc.engine.model import Model
from training.errors import Refused


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. message: what was found, with its number; a warning passes and is shown. figure: the number,
    where the next version is compared with it."""

    code: str
    passed: bool
    message: str
    warning: bool = False
    figure: float | None = None


@dataclass(frozen=True, slots=True)
class Production:
    """The version in use. secret: the shop's, under which it hashed its customers."""

    model: Model
    secret: bytes

    @property
    def version(self) -> str:
        """Its name."""
        return self.model.version

    def check(self, code: str) -> dict[str, Any] | None:
        """Return what its own gate recorded of one check, with every field of `Check`, or None.

        A version of an older program recorded fewer fields.
        """
        checks = self.model.manifest.get("gate", {}).get("checks", [])
        found = next((one for one in checks if one.get("code") == code), None)
        return None if found is None else {"passed": True, "message": "", "warning": False, "figure": None} | found


def verdict(checks: Sequence[Check], forced: bool) -> dict[str, Any]:
    """Return the manifest's record of the gate.

    Raises:
        Refused: a check failed, and it was not forced.
    """
    failed = [one for one in checks if not one.passed]
    if failed and not forced:
        said = "; ".join(f"{one.code}: {one.message}" for one in failed)
        raise Refused(f"refused by the gate: {said}", {one.code: one.message for one in failed})
    return {"passed": not failed, "forced": bool(failed), "checks": [asdict(one) for one in checks]}
