"""The table of the tests' own model; comes after whatever migrations the service has."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0999"
down_revision = "@HEAD@"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("text", sa.String(1000), nullable=False),
        sa.Column("owner_id", sa.String(255), nullable=False),
        sa.Column("tenant_id", sa.String(255), nullable=False),
    )
    op.protect_rows("notes")


def downgrade() -> None:
    op.drop_table("notes")
