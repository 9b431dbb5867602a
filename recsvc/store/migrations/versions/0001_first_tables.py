"""The first tables: items, customers, interactions, offers, keys, and the shop's own facts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Text compares by its bytes, as in SQLite, whatever the collation of the database.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "facts",
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("value", TEXT, nullable=False),
    )
    op.create_table(
        "items",
        sa.Column("item_id", TEXT, primary_key=True),
        sa.Column("parent_id", TEXT),
        sa.Column("title", TEXT, nullable=False),
        sa.Column("categories", TEXT, nullable=False),
        sa.Column("brand", TEXT),
        sa.Column("price_cents", sa.BigInteger),
        sa.Column("currency", TEXT),
        sa.Column("stock", sa.BigInteger),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("sensitive", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger),
        sa.Column("available_from", sa.BigInteger),
        sa.Column("available_to", sa.BigInteger),
        sa.Column("attributes", TEXT, nullable=False),
        sa.Column("cost_cents", sa.BigInteger),
        sa.Column("repeatable", sa.Boolean),
        sa.Column("image_url", TEXT),
        sa.Column("url", TEXT),
        # The catalogue's change number at the last write, and whether that write took the row away.
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    op.create_index("items_change", "items", ["change"])
    op.create_table(
        "customers",
        sa.Column("customer_id", TEXT, primary_key=True),
        sa.Column("segment", TEXT),
        sa.Column("attributes", TEXT, nullable=False),
        sa.Column("tier", TEXT),
        sa.Column("locale", TEXT),
        sa.Column("time_zone", TEXT),
        sa.Column("consent", TEXT),
        sa.Column("preferred_channel", TEXT),
        sa.Column("quiet_hours", TEXT),
        sa.Column("contact_cap", sa.BigInteger),
        sa.Column("profiling", sa.Boolean),
        sa.Column("preferences", TEXT),
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    op.create_table(
        "interactions",
        # The commit number. AUTOINCREMENT: a number is never given twice, even after the newest row is erased.
        sa.Column("revision", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("digest", sa.LargeBinary(16), nullable=False),
        # One of the two: who it was, or the anonymous session in which it happened.
        sa.Column("customer_id", TEXT),
        sa.Column("session_id", TEXT),
        sa.Column("item_id", TEXT),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("quantity", sa.BigInteger),
        sa.Column("value_cents", sa.BigInteger),
        sa.Column("currency", TEXT),
        sa.Column("order_id", TEXT),
        sa.Column("channel", TEXT),
        sa.Column("stars", sa.Integer),
        sa.Column("reason", TEXT),
        sa.Column("offer_id", TEXT),
        sa.Column("details", TEXT),
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
        sa.Column("session_id", TEXT, primary_key=True),
        sa.Column("customer_id", TEXT, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_index("sessions_customer", "sessions", ["customer_id"])
    op.create_table(
        "surveys",
        sa.Column("digest", sa.LargeBinary(16), primary_key=True),
        sa.Column("customer_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("score", sa.Integer, nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("channel", TEXT),
        sa.Column("comment", TEXT),
        sa.Column("about", TEXT),
    )
    op.create_index("surveys_customer", "surveys", ["customer_id"])
    op.create_table(
        "replays",
        sa.Column("digest", sa.LargeBinary(16), primary_key=True),
        sa.Column("body", sa.LargeBinary(16), nullable=False),
        sa.Column("reply", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("replays_created", "replays", ["created_at"])
    op.create_table(
        "offers",
        sa.Column("offer_id", TEXT, primary_key=True),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("benefit", TEXT),
        sa.Column("value_cents", sa.BigInteger),
        sa.Column("cost_cents", sa.BigInteger),
        sa.Column("currency", TEXT),
        sa.Column("starts_at", sa.BigInteger),
        sa.Column("ends_at", sa.BigInteger),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("items", TEXT, nullable=False),
        sa.Column("attributes", TEXT, nullable=False),
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    op.create_table(
        "keys",
        sa.Column("key_id", TEXT, primary_key=True),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
