"""Compare: its numbers against counting by hand on two small versions, and the command line around it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from recsvc import artifact
from recsvc.artifact import Artifact
from recsvc.engine.model import pack_ids
from recsvc.errors import ArtifactInvalid, InvalidRequest
from recsvc.store.published import Published
from training.cli.app import app
from training.compare import compare, resolve

VERSIONS = ["20260101T000000Z-0001", "20260102T000000Z-0002"]


def made(rng: np.random.Generator, version: str, items: list[str], customers: list[tuple[int, int]]) -> Artifact:
    """A version with random lists, some short and some empty."""
    ids, offsets = pack_ids(items)
    rows = np.full((len(customers), 14), -1, np.int32)
    for row in range(len(customers)):
        length = int(rng.choice([0, 3, 10, 14]))
        rows[row, :length] = rng.permutation(len(items))[:length]
    arrays = {
        "item_id_bytes": ids, "item_id_offsets": offsets, "finished_rows": rows,
        "customer_high": np.array([high for high, _ in customers], np.uint64),
        "customer_low": np.array([low for _, low in customers], np.uint64),
    }  # fmt: skip
    return Artifact(version, {"version": version, "ordering": "blend"}, arrays)


@pytest.fixture
def pair() -> tuple[Artifact, Artifact]:
    """Two versions that share most items and customers; two customers share the first half of their hash."""
    rng = np.random.default_rng(3)
    ours = sorted({(int(high), int(rng.integers(2**62))) for high in rng.integers(0, 2**62, 60)} | {(5, 1), (5, 2)})
    theirs = sorted({*ours[7:], (5, 1), (5, 3), (2**63 + 9, 4)} - {(5, 2)})
    a = made(rng, VERSIONS[0], [f"i{n:02}" for n in range(40)], ours)
    return a, made(rng, VERSIONS[1], [f"i{n:02}" for n in range(42, 4, -1)], theirs)


def tops(one: Artifact) -> dict[tuple[int, int], list[str]]:
    """The top 10 of each customer as ids, by hand."""
    offsets = one.arrays["item_id_offsets"].tolist()
    text = one.arrays["item_id_bytes"].tobytes().decode()
    ids = [text[a:b] for a, b in itertools.pairwise(offsets)]
    keys = zip(one.arrays["customer_high"].tolist(), one.arrays["customer_low"].tolist(), strict=True)
    return {
        key: [ids[row] for row in rows if row >= 0]
        for key, rows in zip(keys, one.arrays["finished_rows"][:, :10].tolist(), strict=True)
    }


def test_lists_are_compared_as_counting_by_hand_does(pair: tuple[Artifact, Artifact]) -> None:
    a, b = (tops(one) for one in pair)
    both = [key for key in a if key in b and a[key] and b[key]]
    overlaps = [len(set(a[key]) & set(b[key])) / max(len(a[key]), len(b[key])) for key in both]
    found = compare(*pair)
    assert found["lists"]["customers"] == len(both) > 10
    assert found["lists"]["overlap"] == pytest.approx(sum(overlaps) / len(both))
    assert found["lists"]["first_changed"] == pytest.approx(sum(a[key][0] != b[key][0] for key in both) / len(both))
    stayed = len(a.keys() & b.keys())
    assert found["customers"] == {"came": len(b) - stayed, "went": len(a) - stayed, "stayed": stayed}
    assert 0 < stayed < len(a)


def test_movers_are_those_whose_share_of_slots_changed_most(pair: tuple[Artifact, Artifact]) -> None:
    shares = []
    for one in pair:
        slots = [item for top in tops(one).values() for item in top]
        shares.append({item: slots.count(item) / len(slots) for item in set(slots)})
    changes = {item: shares[1].get(item, 0.0) - shares[0].get(item, 0.0) for item in shares[0] | shares[1]}
    found = compare(*pair)["movers"]
    assert len(found) == 10
    for row in found:
        assert row["b"] - row["a"] == pytest.approx(changes.pop(row["item_id"]))
    least = min(abs(row["b"] - row["a"]) for row in found)
    assert all(abs(left) <= least + 1e-12 for left in changes.values())


def test_items_that_came_and_went_are_named(pair: tuple[Artifact, Artifact]) -> None:
    items = compare(*pair)["items"]
    assert items["came_ids"] == ["i40", "i41", "i42"] and items["went_ids"] == [f"i{n:02}" for n in range(5)]
    assert (items["came"], items["went"], items["stayed"]) == (3, 5, 35)


def test_only_fields_that_differ_are_in_the_differences(pair: tuple[Artifact, Artifact]) -> None:
    a, b = pair
    a.manifest["configuration"] = {"als": {"factors": 8, "alpha": 5.0}, "gone": 1, "seed": 1}
    b.manifest["configuration"] = {"als": {"factors": 16, "alpha": 5.0}, "new": {"x": None}, "seed": 1}
    b.manifest["ordering"] = "ranker"
    b.manifest["metrics"] = {"ranker": {"ndcg@10": 0.5, "ndcg@10_low": 0.4, "ndcg@10_high": 0.6}}
    found = compare(a, b)
    assert found["configuration"] == [
        {"field": "als.factors", "a": 8, "b": 16}, {"field": "gone", "a": 1}, {"field": "new.x", "b": None},
    ]  # fmt: skip
    assert found["learnt"] == [{"field": "ordering", "a": "blend", "b": "ranker"}]
    assert found["metrics"] == [{"metric": "ndcg@10", "a": None, "b": {"value": 0.5, "low": 0.4, "high": 0.6}}]


def test_a_version_compared_with_itself_did_not_change(pair: tuple[Artifact, Artifact]) -> None:
    found = compare(pair[0], pair[0])
    assert found["lists"]["overlap"] == 1.0 and found["lists"]["first_changed"] == 0.0
    assert not found["movers"] and not found["configuration"] and not found["items"]["came"]


def test_two_shops_have_no_customer_in_common(pair: tuple[Artifact, Artifact]) -> None:
    rng = np.random.default_rng(4)
    found = compare(pair[0], made(rng, VERSIONS[1], ["x"], [(1, 1)]))
    assert found["lists"] == {"customers": 0, "overlap": None, "first_changed": None}


def test_a_version_without_lists_is_refused_by_name(pair: tuple[Artifact, Artifact]) -> None:
    del pair[1].arrays["finished_rows"]
    with pytest.raises(ArtifactInvalid, match=VERSIONS[1]):
        compare(*pair)


def test_an_unknown_version_is_refused_with_the_nearest(tmp_path: Path, pair: tuple[Artifact, Artifact]) -> None:
    store = Published(tmp_path, None)
    with pytest.raises(InvalidRequest, match="nothing is published"):
        resolve(store, "current")
    with pytest.raises(InvalidRequest, match="nothing is published"):
        resolve(store, VERSIONS[0])
    for one in pair:
        artifact.publish(tmp_path, one.version, one.arrays, one.manifest)
    assert resolve(store, "current") == VERSIONS[1] and resolve(store, VERSIONS[0]) == VERSIONS[0]
    with pytest.raises(InvalidRequest, match=f"20260101T000000Z-0009: unknown version, the nearest is {VERSIONS[0]}"):
        resolve(store, "20260101T000000Z-0009")


def test_the_command_prints_tables_or_json(
    tmp_path: Path, pair: tuple[Artifact, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in pair:
        artifact.publish(tmp_path, one.version, one.arrays, one.manifest)
    monkeypatch.setenv("RECSVC_ARTIFACTS", str(tmp_path))
    shown = CliRunner().invoke(app, ["compare", VERSIONS[0], "current"])
    assert shown.exit_code == 0 and all(version in shown.stdout for version in VERSIONS), shown.output
    assert "of a top 10 is the same" in shown.stdout
    found = json.loads(CliRunner().invoke(app, ["compare", VERSIONS[0], "current", "--json"]).stdout)
    assert {**found, "a": None, "b": None} == {**json.loads(json.dumps(compare(*pair))), "a": None, "b": None}


def test_versions_that_are_only_in_a_remote_store_are_fetched(
    tmp_path: Path, pair: tuple[Artifact, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "remote"
    for one in pair:
        artifact.publish(there, one.version, one.arrays, one.manifest)
    monkeypatch.setenv("RECSVC_ARTIFACTS", f"file://{there}")
    monkeypatch.setenv("RECSVC_HOME", str(tmp_path / "home"))
    shown = CliRunner().invoke(app, ["compare", VERSIONS[0], "current", "--json"])
    assert shown.exit_code == 0, shown.output
    assert [json.loads(shown.stdout)[side]["version"] for side in ("a", "b")] == list(VERSIONS[:2])


def test_an_unknown_version_ends_the_command_with_2(tmp_path: Path, pair: tuple[Artifact, Artifact]) -> None:
    artifact.publish(tmp_path, VERSIONS[0], pair[0].arrays, pair[0].manifest)
    command = [sys.executable, "-m", "training", "compare", "current", "20260101T000000Z-0003"]
    variables = {**os.environ, "RECSVC_ARTIFACTS": str(tmp_path)}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and f"the nearest is {VERSIONS[0]}" in done.stderr
