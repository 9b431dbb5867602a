"""Counters for Prometheus. Labels are route templates and fixed words, never ids."""

from __future__ import annotations

import os

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

REQUESTS = Counter("recsvc_requests_total", "Requests by route template and status.", ["route", "status"])
SECONDS = Histogram(
    "recsvc_request_seconds", "Time to answer, by route template.", ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
)  # fmt: skip
LISTS = Counter("recsvc_lists_total", "Lists by how they were made.", ["source", "fallback"])
CACHE = Counter(
    "recsvc_cache_total", "Cache look-ups: near (in this process), hit, late (old), miss, mismatch (not valid), away.",
    ["result"],
)  # fmt: skip
EXPOSURES = Counter("recsvc_exposures_total", "Replies for the spool of exposures: written, dropped.", ["result"])
INTERACTIONS = Counter("recsvc_interactions_total", "Interactions by outcome.", ["outcome"])
LIMITED = Counter("recsvc_rate_limited_total", "Requests refused because their key's rate was used up.")
RELOADS = Counter("recsvc_model_reloads_total", "Looks at a new model: loaded or refused.", ["result"])
PULLS = Counter("recsvc_model_pulls_total", "Models that a remote store named: pulled, refused, away.", ["result"])
MODEL = Gauge(
    "recsvc_model_published_seconds", "Epoch seconds at which the model in use was published; 0: none.",
    multiprocess_mode="livemin",
)  # fmt: skip
LIVE = Gauge(
    "recsvc_live_state_seconds", "Epoch seconds at which the worker furthest behind last read the change numbers.",
    multiprocess_mode="livemin",
)  # fmt: skip
WRITER_GROUP = Histogram(
    "recsvc_writer_group_size", "Writes that shared one commit.", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
WRITER_SECONDS = Histogram(
    "recsvc_writer_commit_seconds", "Time of one shared write transaction, its commit included.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
)  # fmt: skip


def render() -> tuple[bytes, str]:
    """Return the exposition of all workers together, and its content type."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(), CONTENT_TYPE_LATEST
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
