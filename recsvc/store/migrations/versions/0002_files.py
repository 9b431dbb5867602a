"""Orders without a customer: they teach which items go together, and belong to nobody."""

import sqlalchemy as sa
from alembic import op

revision = "0002_files"
down_revision = "0001"
branch_labels = None
depends_on = None

_SEQUENCE = "SELECT seq FROM sqlite_sequence WHERE name = 'interactions'"


def upgrade() -> None:
    """Let `customer_id` be empty."""
    connection = op.get_bind()
    sqlite = connection.dialect.name == "sqlite"
    last = connection.exec_driver_sql(_SEQUENCE).scalar() if sqlite else None
    # SQLite copies the table. Its numbering must go on where it was: the newest rows may have been erased.
    with op.batch_alter_table("interactions", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.alter_column("customer_id", existing_type=sa.Text, nullable=True)
    if last is not None:
        connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = 'interactions'")
        connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES ('interactions', ?)", (last,))
