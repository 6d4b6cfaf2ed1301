"""What the guards need: the answers to requests with a key, the outbox, the ground that row security stands on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the database to this revision."""
    op.install_row_security()  # type: ignore[attr-defined]  # an operation of app.database.migrations
    op.create_table(
        "idempotency_record",
        sa.Column("id", sa.LargeBinary(32), nullable=False),
        sa.Column("principal", sa.String(600), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("token", sa.LargeBinary(16), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", sa.String(4096), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency_record")),
    )
    op.create_index("ix_idempotency_record_expires_at", "idempotency_record", ["expires_at"])
    op.create_index("ix_idempotency_record_principal", "idempotency_record", ["principal", "expires_at"])
    op.protect_rows("idempotency_record")  # type: ignore[attr-defined]
    op.create_table(
        "outbox",
        # SQLite numbers rows by itself only in a column of exactly this type.
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("key", sa.String(255), nullable=True),
        sa.Column("context", sa.String(4096), nullable=False),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.LargeBinary(16), nullable=True),
        sa.Column("error", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index("ix_outbox_due_at", "outbox", ["status", "due_at"])
    op.create_index("ix_outbox_key", "outbox", ["key", "id"])
    op.protect_rows("outbox")  # type: ignore[attr-defined]
    op.install_queue()  # type: ignore[attr-defined]


def downgrade() -> None:
    """Take it back to the one before."""
    op.remove_queue()  # type: ignore[attr-defined]
    op.drop_table("outbox")
    op.drop_table("idempotency_record")
    op.remove_row_security()  # type: ignore[attr-defined]
