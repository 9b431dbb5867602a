"""The model: an artifact's arrays under their names, and the two look-ups from outside ids to rows."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from recsvc.artifact import Array, Artifact
from recsvc.concepts import BLENDED
from recsvc.engine import forest, karma, redemption, timing
from recsvc.engine.history import ENTRIES, Decay, History
from recsvc.engine.redemption import Takers
from recsvc.engine.timing import Timing
from recsvc.errors import ArtifactInvalid

# name → number of dimensions. Reading fails when one is missing or of another rank.
ARRAYS: dict[str, int] = {
    "item_id_bytes": 1, "item_id_offsets": 1, "factors": 2, "gram": 2, "inverse": 2,
    "neighbour_offsets": 1, "neighbour_rows": 1, "neighbour_scores": 1, "neighbour_scale": 1,
    "together_rows": 2, "together_scores": 2, "popularity": 1, "item_traits": 2, "karma": 1,
    "sale_rows": 1, "sale_days": 1, "sale_orders": 1, "segment_rows": 2,
    "customer_high": 1, "customer_low": 1, "own_offsets": 1, "own_item_rows": 1, "own_weights": 1,
    "own_repeats": 1, "own_orders": 1, "own_first_at": 1, "own_last_at": 1, "own_rejected_at": 1,
    "own_first_visit": 1, "own_last_visit": 1, "own_recent": 1, "own_bought_visits": 1, "own_returned_at": 1,
    "finished_rows": 2, "finished_scores": 2, "finished_generators": 2, "finished_reasons": 2,
    "finished_cited": 2, "finished_shares": 2,
}  # fmt: skip

# What the ranker sees, column by column; `features` fills it in.
PAIR_FEATURES: Final = (
    "count", "share_of_visits", "visits_since", "recent", "aged", "days_since", "gap_days", "due", "taste",
    "rate",
)  # fmt: skip
# Measured and left out: the trend of an item and of its category (orders of the newest 14 days over those of the 42
# before): on the demo's held-back days NDCG@10 0.2737 with them, 0.2743 without.
ITEM_TRAITS: Final = ("orders", "orders_per_buyer", "buyers_again", "repeat_rate")
FEATURES: Final = (
    *PAIR_FEATURES, "collaborative", "collaborative_rank", "neighbours", "neighbours_rank", "popularity",
    *ITEM_TRAITS, "visits", "visit_size", "items", "repeat_share",
)  # fmt: skip
# Stands in `item_extra` and `customer_extra` for NaN, which no published array may hold.
NOTHING_SAID: Final = np.finfo(np.float32).min


@dataclass(frozen=True, slots=True)
class Model:
    """One version of the arrays.

    n items, k factors, c customers. Rows mean nothing outside this version.
    `a` holds the arrays of `ARRAYS`: factors (k, n) float32 dims-major, gram (k, k) and its regularized inverse
    (k, k) float64; neighbour_rows and _scores (e,), of item i from neighbour_offsets[i] to [i + 1],
    best first, and neighbour_scale (n,); together_* (n, 30) with −1 for none; popularity (n,) recent orders,
    item_traits (n, t) of `ITEM_TRAITS`, karma (n,) what scores are multiplied by, 0 for what is in no list, sale_* (e,)
    orders per item and day sorted by day, own_* the histories of all customers in one run, finished_* (c, depth) their
    finished lists. It may hold the arrays of `engine.karma.ARRAYS`, from which karma was made; with a ranker it holds
    the forest of `engine.forest`; with columns of the shop's own,
    item_extra (n, e) or customer_extra (c, g), float32, `NOTHING_SAID` where nothing is.
    item_columns, customer_columns: names of those.
    timing: when customers come again, and an item's time does. takers: who takes up offers.
    log_popularity: (n,) float32, the score of the popularity generator, the same for everybody; by_popularity: (n,) the
    rows in its order.
    """

    version: str
    item_ids: list[str]
    rows: dict[str, int]
    decay: Decay
    alpha: float
    regularization: float
    prior_visits: float
    blend: Array
    weights: dict[str, float]
    segments: dict[str, int]
    database_id: str
    last_revision: int
    published_at: float
    manifest: dict[str, Any]
    a: dict[str, Array]
    log_popularity: Array
    by_popularity: Array
    timing: Timing
    takers: Takers
    item_columns: tuple[str, ...] = ()
    customer_columns: tuple[str, ...] = ()

    @property
    def ranked(self) -> bool:
        """Whether a ranker orders the candidates; else the blend does."""
        return "forest_leaves" in self.a

    @property
    def n_items(self) -> int:
        """How many items have a row."""
        return len(self.item_ids)


def from_artifact(artifact: Artifact) -> Model:
    """Return the model of a verified artifact.

    Raises:
        ArtifactInvalid: an array or parameter is missing or does not fit the others; it is named.
    """
    artifact = _completed(artifact)
    for name, dimensions in ARRAYS.items():
        if name not in artifact.arrays or artifact.arrays[name].ndim != dimensions:
            raise ArtifactInvalid(f"{artifact.version}: {name} is missing or not of {dimensions} dimensions")
    try:
        model = _build(artifact)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactInvalid(f"{artifact.version}: {type(error).__name__}: {error}") from error
    _check_fit(model)
    return model


def customer_row(model: Model, customer_hash: tuple[int, int]) -> int:
    """Return the row of a customer, or −1. `customer_hash` comes from `hash_customer` with the shop's secret."""
    high, low = customer_hash
    highs = model.a["customer_high"]
    row = int(np.searchsorted(highs, np.uint64(high)))
    while row < len(highs) and highs[row] == high:
        if model.a["customer_low"][row] == low:
            return row
        row += 1
    return -1


def hash_customer(customer_id: str, secret: bytes) -> tuple[int, int]:
    """Return the 128-bit keyed hash of a customer id as two 64-bit halves, so that no artifact holds an id."""
    value = _hashed(customer_id, secret).digest()
    return int.from_bytes(value[:8], "big"), int.from_bytes(value[8:], "big")


def hash_hex(customer_id: str, secret: bytes) -> str:
    """Return the same hash as text."""
    return str(_hashed(customer_id, secret).hexdigest())


def _hashed(customer_id: str, secret: bytes) -> Any:
    return hashlib.blake2b(customer_id.encode("utf-8"), digest_size=16, key=secret)


def near(model: Model, item_rows: Array) -> tuple[Array, Array, Array]:
    """Return the neighbours of several items in one run: item rows, scores, and the position in `item_rows` each is
    a neighbour of."""
    offsets = model.a["neighbour_offsets"]
    starts = offsets[item_rows]
    counts = offsets[item_rows + 1] - starts
    of = np.repeat(np.arange(len(item_rows)), counts)
    where = np.arange(len(of)) + (starts - np.concatenate([[0], np.cumsum(counts)[:-1]]))[of]
    return model.a["neighbour_rows"][where], model.a["neighbour_scores"][where], of


def own_history(model: Model, row: int) -> History:
    """Return what training knew of the customer in `row`."""
    start, end = model.a["own_offsets"][row], model.a["own_offsets"][row + 1]
    history = History(*(model.a[f"own_{name}"][start:end] for name in ENTRIES))
    return replace(history, extra=said(model.a["customer_extra"][row])) if model.customer_columns else history


def said(extra: Array) -> Array:
    """Return float32 values of `item_extra` or `customer_extra`, NaN for `NOTHING_SAID`."""
    return np.where(extra == NOTHING_SAID, np.float32(np.nan), extra)


def pack_ids(ids: list[str]) -> tuple[Array, Array]:
    """Return ids as one run of UTF-8 bytes (uint8) and n + 1 offsets (int64)."""
    encoded = [one.encode("utf-8") for one in ids]
    offsets = np.zeros(len(ids) + 1, np.int64)
    np.cumsum([len(one) for one in encoded], out=offsets[1:])
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


def unpack_ids(data: Array, offsets: Array) -> list[str]:
    """Return the ids that `pack_ids` packed."""
    blob, ends = data.tobytes(), offsets.tolist()
    return [blob[a:b].decode("utf-8") for a, b in itertools.pairwise(ends)]


def _completed(artifact: Artifact) -> Artifact:
    """Return an artifact of before returns had their time with none in it, so that a newer service can use it."""
    if "own_last_at" not in artifact.arrays or "own_returned_at" in artifact.arrays:
        return artifact
    never = np.zeros_like(artifact.arrays["own_last_at"])
    return replace(artifact, arrays=artifact.arrays | {"own_returned_at": never})


def _build(artifact: Artifact) -> Model:
    p = artifact.manifest["parameters"]
    ids = unpack_ids(artifact.arrays["item_id_bytes"], artifact.arrays["item_id_offsets"])
    log_popularity = np.log1p(np.maximum(artifact.arrays["popularity"], 0.0)).astype(np.float32)
    return Model(
        version=artifact.version,
        item_ids=ids,
        rows={item_id: row for row, item_id in enumerate(ids)},
        decay=Decay(*(float(p[name]) for name in Decay.__slots__)),
        alpha=float(p["alpha"]),
        regularization=float(p["regularization"]),
        prior_visits=float(p["prior_visits"]),
        blend=np.array([float(p["blend"][name]) for name in BLENDED], np.float32),
        weights={str(k): float(v) for k, v in p["weights"].items()},
        segments={str(name): row for row, name in enumerate(p["segments"])},
        database_id=str(p["database_id"]),
        last_revision=int(p["last_revision"]),
        published_at=float(artifact.manifest["published_at"]),
        manifest=artifact.manifest,
        a=artifact.arrays,
        log_popularity=log_popularity,
        by_popularity=np.argsort(-log_popularity, kind="stable"),
        timing=timing.of_arrays(artifact.arrays, len(ids)),
        takers=redemption.of_artifact(artifact.arrays, float(p.get("offers", {}).get("base", 0.0)), len(ids)),
        item_columns=tuple(map(str, p.get("features", {}).get("items", ()))),
        customer_columns=tuple(map(str, p.get("features", {}).get("customers", ()))),
    )


def _check_fit(model: Model) -> None:
    n, a = model.n_items, model.a
    k = a["factors"].shape[0]
    customers = len(a["customer_high"])
    wanted = {
        "factors": (k, n), "gram": (k, k), "inverse": (k, k), "popularity": (n,),
        "neighbour_offsets": (n + 1,), "neighbour_rows": (int(a["neighbour_offsets"][-1]),),
        "neighbour_scores": a["neighbour_rows"].shape, "neighbour_scale": (n,),
        "item_traits": (n, len(ITEM_TRAITS)), "karma": (n,),
        "together_rows": (n, a["together_rows"].shape[1]), "together_scores": a["together_rows"].shape,
        "customer_low": (customers,), "own_offsets": (customers + 1,),
        "finished_rows": (customers, a["finished_rows"].shape[1]),
        "sale_rows": a["sale_days"].shape, "sale_orders": a["sale_days"].shape,
    }  # fmt: skip
    wanted |= {name: a["finished_rows"].shape for name in ARRAYS if name.startswith("finished_")}
    own = (int(a["own_offsets"][-1]),)
    wanted |= {name: own for name in ARRAYS if name.startswith("own_") and name != "own_offsets"}
    extra = {"item_extra": (n, len(model.item_columns)), "customer_extra": (customers, len(model.customer_columns))}
    for name, shape in extra.items():
        if shape[1] and name not in a:
            raise ArtifactInvalid(f"{model.version}: {name} is missing, the parameters name columns of it")
        wanted |= {name: shape} if name in a else {}
    for name, shape in wanted.items():
        if a[name].shape != shape:
            raise ArtifactInvalid(f"{model.version}: {name} has shape {a[name].shape}, {shape} fits the others")
    if model.ranked:
        forest.check(a, len(FEATURES) + extra["item_extra"][1] + extra["customer_extra"][1])
    karma.check(a, model.manifest["parameters"].get("karma", {}), model.version, n)
    if (np.diff(a["neighbour_offsets"]) < 0).any():
        raise ArtifactInvalid(f"{model.version}: neighbour_offsets does not ascend")
    inside = np.diff(a["own_item_rows"].astype(np.int64)) <= 0
    inside[a["own_offsets"][1:-1][(a["own_offsets"][1:-1] > 0) & (a["own_offsets"][1:-1] < own[0])] - 1] = False
    if inside.any():
        raise ArtifactInvalid(f"{model.version}: own_item_rows does not ascend within each customer")
    for name in ("neighbour_rows", "together_rows", "own_item_rows", "finished_rows", "finished_cited", "sale_rows"):
        if a[name].size and not -1 <= int(a[name].min()) <= int(a[name].max()) < n:
            raise ArtifactInvalid(f"{model.version}: {name} points outside the {n} items")
