"""The settings of placements in the database."""

from __future__ import annotations

import sqlalchemy as sa

from recsvc.store.database import Json, metadata

placements = sa.Table(
    "placements", metadata,
    sa.Column("placement_id", sa.Text, primary_key=True), sa.Column("filters", Json), sa.Column("diversity", sa.Double),
    sa.Column("max_per", Json), sa.Column("min_relevance", sa.Double), sa.Column("fields", Json),
    sa.Column("cache_seconds", sa.Integer), sa.Column("shared", sa.Boolean),
)  # fmt: skip
