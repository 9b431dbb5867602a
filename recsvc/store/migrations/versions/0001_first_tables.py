"""The first tables: items, customers, interactions, offers, keys, and the shop's own facts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "facts",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "items",
        sa.Column("item_id", sa.Text, primary_key=True),
        sa.Column("parent_id", sa.Text),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("categories", sa.Text, nullable=False),
        sa.Column("brand", sa.Text),
        sa.Column("price_cents", sa.BigInteger),
        sa.Column("currency", sa.Text),
        sa.Column("stock", sa.BigInteger),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("sensitive", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger),
        sa.Column("available_from", sa.BigInteger),
        sa.Column("available_to", sa.BigInteger),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("cost_cents", sa.BigInteger),
        sa.Column("repeatable", sa.Boolean),
        sa.Column("image_url", sa.Text),
        sa.Column("url", sa.Text),
        # The catalogue's change number at the last write, and whether that write took the row away.
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    op.create_index("items_change", "items", ["change"])
    op.create_table(
        "customers",
        sa.Column("customer_id", sa.Text, primary_key=True),
        sa.Column("segment", sa.Text),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("tier", sa.Text),
        sa.Column("locale", sa.Text),
        sa.Column("time_zone", sa.Text),
        sa.Column("consent", sa.Text),
        sa.Column("preferred_channel", sa.Text),
        sa.Column("quiet_hours", sa.Text),
        sa.Column("contact_cap", sa.BigInteger),
        sa.Column("profiling", sa.Boolean),
        sa.Column("preferences", sa.Text),
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    op.create_table(
        "interactions",
        # The commit number. AUTOINCREMENT: a number is never given twice, even after the newest row is erased.
        sa.Column("revision", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("digest", sa.LargeBinary(16), nullable=False),
        # One of the two: who it was, or the anonymous session in which it happened.
        sa.Column("customer_id", sa.Text),
        sa.Column("session_id", sa.Text),
        sa.Column("item_id", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("quantity", sa.BigInteger),
        sa.Column("value_cents", sa.BigInteger),
        sa.Column("currency", sa.Text),
        sa.Column("order_id", sa.Text),
        sa.Column("channel", sa.Text),
        sa.Column("stars", sa.Integer),
        sa.Column("reason", sa.Text),
        sa.Column("offer_id", sa.Text),
        sa.Column("details", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("interactions_digest", "interactions", ["digest"], unique=True)
    op.create_index("interactions_customer", "interactions", ["customer_id", "revision"])
    op.create_index(
        "interactions_session",
        "interactions",
        ["session_id", "revision"],
        sqlite_where=sa.text("session_id IS NOT NULL"),
        postgresql_where=sa.text("session_id IS NOT NULL"),
    )
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.Text, primary_key=True),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_index("sessions_customer", "sessions", ["customer_id"])
    op.create_table(
        "surveys",
        sa.Column("digest", sa.LargeBinary(16), primary_key=True),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("score", sa.Integer, nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("channel", sa.Text),
        sa.Column("comment", sa.Text),
        sa.Column("about", sa.Text),
    )
    op.create_index("surveys_customer", "surveys", ["customer_id"])
    op.create_table(
        "replays",
        sa.Column("digest", sa.LargeBinary(16), primary_key=True),
        sa.Column("body", sa.LargeBinary(16), nullable=False),
        sa.Column("reply", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("replays_created", "replays", ["created_at"])
    op.create_table(
        "offers",
        sa.Column("offer_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("benefit", sa.Text),
        sa.Column("value_cents", sa.BigInteger),
        sa.Column("cost_cents", sa.BigInteger),
        sa.Column("currency", sa.Text),
        sa.Column("starts_at", sa.BigInteger),
        sa.Column("ends_at", sa.BigInteger),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("items", sa.Text, nullable=False),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    op.create_table(
        "keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
