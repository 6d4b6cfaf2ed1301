"""Filters by a tenant of the client's choice."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/tenant-orders", tags=["orders"])


class Line(BaseModel):
    id: UUID


@router.get("")
async def tenant_orders(
    tenant_id: Annotated[str, Query(max_length=40)],  # or: client-decides
    session: Session,
) -> list[Line]:
    """List the orders of a tenant."""
    rows = await session.scalars(select(Order.id).where(Order.tenant_id == tenant_id).order_by(Order.id).limit(50))  # expect: client-decides
    return [Line(id=row) for row in rows]
