"""The worked example: orders and stock, and something in stock to order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the database to this revision."""
    op.create_table(
        "orders",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sku", sa.String(64), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(500), nullable=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("charge_id", sa.String(100), nullable=True),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner_id", sa.String(255), nullable=False),
        sa.Column("tenant_id", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
    )
    op.create_index(
        "ix_orders_page", "orders", ["tenant_id", "owner_id", sa.text("placed_at DESC"), sa.text("id DESC")]
    )
    op.protect_rows("orders")  # type: ignore[attr-defined]  # an operation of app.database.migrations
    op.create_table(
        "notifications",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("text", sa.String(500), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner_id", sa.String(255), nullable=False),
        sa.Column("tenant_id", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        sa.UniqueConstraint("order_id", "kind", name=op.f("uq_notifications_order_id_kind")),
    )
    op.create_index(
        "ix_notifications_newest",
        "notifications",
        ["tenant_id", "owner_id", sa.text("created_at DESC"), sa.text("id DESC")],
    )
    op.protect_rows("notifications")  # type: ignore[attr-defined]
    stock = op.create_table(
        "stock",
        sa.Column("sku", sa.String(64), nullable=False),
        sa.Column("available", sa.Integer(), nullable=False),
        sa.Column("price", sa.Integer(), nullable=False),
        sa.CheckConstraint("price >= 0", name=op.f("ck_stock_price")),
        sa.CheckConstraint("available >= 0", name=op.f("ck_stock_available")),
        sa.PrimaryKeyConstraint("sku", name=op.f("pk_stock")),
    )
    # A million of each, so that whoever tries the example does not run out first.
    articles = {"chair-oak": 129_00, "desk-pine": 349_00, "lamp-brass": 89_00}
    samples = dict.fromkeys(("swatch-oak", "swatch-pine", "swatch-brass"), 0)
    rows = [{"sku": sku, "available": 1_000_000, "price": price} for sku, price in (articles | samples).items()]
    op.bulk_insert(stock, rows)


def downgrade() -> None:
    """Take it back to the one before."""
    op.drop_table("stock")
    op.drop_index("ix_notifications_newest", table_name="notifications")
    op.drop_table("notifications")
    op.drop_index("ix_orders_page", table_name="orders")
    op.drop_table("orders")
