"""Offers with limits and conditions, claims on them, and what was sent."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# As in 0001: text compares by its bytes.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
# What a customer's karma and the caps of offers look at, among the many interactions that are neither.
TOLD = sa.text(
    "offer_id IS NOT NULL OR kind IN ('complaint', 'complaint_resolved', 'support_resolved', 'delivery_late')"
)


def upgrade() -> None:
    """Add the columns and create the tables."""
    for column in (
        sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
        sa.Column("exclusive_group", TEXT),
        sa.Column("stackable", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("categories", TEXT, nullable=False, server_default="[]"),
        sa.Column("channels", TEXT, nullable=False, server_default="[]"),
        sa.Column("budget", TEXT),
        sa.Column("max_per_customer", sa.Integer),
        sa.Column("cooldown_days", sa.Integer),
        sa.Column("max_shown", sa.Integer),
        sa.Column("capacity", sa.BigInteger),
        sa.Column("eligibility", TEXT),
        sa.Column("creative", TEXT, nullable=False, server_default="{}"),
    ):
        op.add_column("offers", column)
    op.create_table(
        "claims",
        sa.Column("claim_id", TEXT, primary_key=True),
        sa.Column("offer_id", TEXT, nullable=False),
        sa.Column("customer_id", TEXT, nullable=False),
        # reserved, redeemed, released or expired.
        sa.Column("state", TEXT, nullable=False),
        sa.Column("channel", TEXT),
        sa.Column("send_id", TEXT),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("order_id", TEXT),
        sa.Column("value_cents", sa.BigInteger),
        # What it holds of the budget, and of which of the budget's periods.
        sa.Column("cost_cents", sa.BigInteger, nullable=False),
        sa.Column("period", TEXT, nullable=False),
    )
    op.create_index("claims_customer", "claims", ["customer_id", "offer_id"])
    op.create_index("claims_offer", "claims", ["offer_id", "created_at"])
    op.create_index(
        "claims_expiry", "claims", ["expires_at"],
        sqlite_where=sa.text("state = 'reserved'"), postgresql_where=sa.text("state = 'reserved'"),
    )  # fmt: skip
    op.create_table(
        # What an offer has given out: in all under the period "", and in each of its budget's periods.
        "offer_usage",
        sa.Column("offer_id", TEXT, primary_key=True),
        sa.Column("period", TEXT, primary_key=True),
        # Claims that are reserved or redeemed; those redeemed; and what either costs.
        sa.Column("held", sa.BigInteger, nullable=False),
        sa.Column("redeemed", sa.BigInteger, nullable=False),
        sa.Column("held_cents", sa.BigInteger, nullable=False),
        sa.Column("redeemed_cents", sa.BigInteger, nullable=False),
    )
    op.create_table(
        # How many claims of an offer a customer holds or has redeemed.
        "offer_holders",
        sa.Column("offer_id", TEXT, primary_key=True),
        sa.Column("customer_id", TEXT, primary_key=True),
        sa.Column("held", sa.Integer, nullable=False),
        # Whether one holds it who has one: read with the customer's offers and lists.
        sa.Column("claimed_at", sa.BigInteger, nullable=False),
    )
    op.create_index("offer_holders_customer", "offer_holders", ["customer_id"])
    op.create_table(
        # What was decided for a customer in one sending, once; it is replayed. contacted_at: null where nothing went.
        "sends",
        sa.Column("customer_id", TEXT, primary_key=True),
        sa.Column("send_id", TEXT, primary_key=True),
        sa.Column("channel", TEXT, primary_key=True),
        sa.Column("decided", TEXT, nullable=False),
        sa.Column("decided_at", sa.BigInteger, nullable=False),
        sa.Column("contacted_at", sa.BigInteger),
    )
    op.create_index("interactions_told", "interactions", ["customer_id"], sqlite_where=TOLD, postgresql_where=TOLD)
