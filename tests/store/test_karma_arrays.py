"""A model's karma arrays are looked at like all others: what does not fit is refused, what is missing is no reason to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recsvc import artifact
from recsvc.engine import karma
from recsvc.engine.model import from_artifact
from recsvc.errors import ArtifactInvalid
from tests.conftest import Place


def _changed(place: Place, arrays: dict[str, Any], parameters: dict[str, Any] | None = None) -> artifact.Artifact:
    root = place.settings.artifact_root
    found = artifact.read(root, artifact.current(root) or "")
    kept = {name: one for name, one in found.arrays.items() if arrays.get(name, one) is not None}
    manifest = {**found.manifest, "parameters": {**found.manifest["parameters"], **(parameters or {})}}
    return artifact.Artifact(found.version, manifest, {**kept, **{n: a for n, a in arrays.items() if a is not None}})


def test_a_version_of_before_they_were_there_is_used(planted: Place) -> None:
    model = from_artifact(_changed(planted, dict.fromkeys(karma.ARRAYS), {"karma": {}}))
    assert karma.parts(model.a, {}, 0) is None


@pytest.mark.parametrize(
    ("arrays", "parameters"),
    [
        ({"karma_bad": None}, {}), ({"karma_bad": np.zeros(1, np.float32)}, {}), ({}, {"karma": {}}),
        ({"karma_rows": np.array([2, 1], np.int32), "karma_reasons": np.zeros(2, np.int16),
          "karma_counts": np.ones(2, np.float32)}, {}),
        ({"karma_rows": np.array([1], np.int32), "karma_reasons": np.array([99], np.int16),
          "karma_counts": np.ones(1, np.float32)}, {}),
        ({"karma_rows": np.array([10_000], np.int32), "karma_reasons": np.zeros(1, np.int16),
          "karma_counts": np.ones(1, np.float32)}, {}),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(planted: Place, arrays: dict[str, Any], parameters: dict[str, Any]) -> None:
    with pytest.raises(ArtifactInvalid, match="karma"):
        from_artifact(_changed(planted, arrays, parameters))
