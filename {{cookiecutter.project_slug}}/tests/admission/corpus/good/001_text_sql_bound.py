"""Low stock, in one hand-written statement: everything from outside is a bound parameter."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import text

from app.dependencies import Session

router = APIRouter(prefix="/v1/low-stock", tags=["inventory"])

LOW_STOCK = text(
    "SELECT sku, available FROM stock WHERE available <= :threshold AND sku > :after ORDER BY sku LIMIT :limit"
)


class LowStock(BaseModel):
    sku: str
    available: int


class LowStockPage(BaseModel):
    items: list[LowStock]
    next: str | None


@router.get("")
async def list_low_stock(
    session: Session,
    threshold: Annotated[int, Query(ge=0, le=1_000_000)] = 10,
    after: Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9_.-]*$")] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> LowStockPage:
    """List the articles that run out."""
    rows = await session.execute(LOW_STOCK, {"threshold": threshold, "after": after, "limit": limit + 1})
    found = [LowStock(sku=row.sku, available=row.available) for row in rows]
    items = found[:limit]
    return LowStockPage(items=items, next=items[-1].sku if len(found) > limit else None)
