"""Search of orders; the sort column comes straight from the client."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import text

from app.dependencies import Session

router = APIRouter(prefix="/v1/order-search", tags=["orders"])


class Hit(BaseModel):
    id: UUID
    sku: str


class Hits(BaseModel):
    items: list[Hit]


@router.get("")
async def search_orders(
    session: Session,
    sort: Annotated[str, Query(max_length=40)] = "placed_at",
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
) -> Hits:
    """Search orders."""
    statement = text(f"SELECT id, sku FROM orders ORDER BY {sort} LIMIT :limit")  # expect: sql-from-input
    rows = await session.execute(statement, {"limit": limit})
    return Hits(items=[Hit(id=row.id, sku=row.sku) for row in rows])
