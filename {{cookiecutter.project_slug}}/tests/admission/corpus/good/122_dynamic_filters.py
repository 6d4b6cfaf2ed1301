"""Conditions are added as expressions, not as text."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/filtered-orders", tags=["orders"])


class OrderLine(BaseModel):
    id: UUID
    status: str


@router.get("")
async def filtered(
    session: Session,
    status: Literal["placed", "cancelled"] | None = None,
    sku: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> list[OrderLine]:
    """List orders that match."""
    statement = select(Order).order_by(Order.id).limit(limit)
    conditions = []
    if status is not None:
        conditions.append(Order.status == status)
    if sku is not None:
        conditions.append(Order.sku == sku)
    rows = await session.scalars(statement.where(*conditions))
    return [OrderLine(id=row.id, status=row.status) for row in rows]
