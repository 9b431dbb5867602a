"""What a merchandiser decides: rules, and the settings of placements. Both under one change number, `rules`."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# As in 0001: text compares by its bytes.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables, and the change number of a shop that has begun."""
    op.create_table(
        "rules",
        sa.Column("rule_id", TEXT, primary_key=True),
        sa.Column("placement", TEXT),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("match", TEXT, nullable=False),
        sa.Column("factor", sa.Double),
        sa.Column("slot", sa.Integer),
        sa.Column("starts_at", sa.BigInteger),
        sa.Column("ends_at", sa.BigInteger),
        sa.Column("priority", sa.Integer, nullable=False),
    )
    op.create_table(
        "placements",
        sa.Column("placement_id", TEXT, primary_key=True),
        sa.Column("filters", TEXT, nullable=False),
        sa.Column("diversity", sa.Double),
        sa.Column("max_per", TEXT, nullable=False),
        sa.Column("min_relevance", sa.Double),
        sa.Column("fields", TEXT, nullable=False),
        sa.Column("cache_seconds", sa.Integer),
        sa.Column("shared", sa.Boolean, nullable=False),
    )
    op.execute("INSERT INTO facts (name, value) SELECT 'rules', '0' FROM facts WHERE name = 'database_id'")
