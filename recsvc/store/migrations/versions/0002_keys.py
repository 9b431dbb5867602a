"""Keys have scopes, an end, a rate and a day of last use. Keys from before keep what they could do: `storefront`."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# As in 0001: text compares by its bytes.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns."""
    op.add_column("keys", sa.Column("scopes", TEXT, nullable=False, server_default="storefront"))
    op.add_column("keys", sa.Column("expires_at", sa.BigInteger))
    op.add_column("keys", sa.Column("revoked_at", sa.BigInteger))
    op.add_column("keys", sa.Column("per_second", sa.Integer))
    op.add_column("keys", sa.Column("last_used_at", sa.BigInteger))
