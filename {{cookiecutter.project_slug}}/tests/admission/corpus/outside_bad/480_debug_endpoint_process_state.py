"""Add orders search by SKU, plus a small route that helps us look into the process while we test."""

from __future__ import annotations

import gc
import sys
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/order-search", tags=["orders"])


class Found(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    sku: str
    quantity: int


class FoundOrders(BaseModel):
    items: list[Found]


class ProcessState(BaseModel):
    """How the process is doing."""

    python: str
    modules: int
    objects: int


@router.get("")
async def by_sku(
    db: Session,
    sku: Annotated[str, Query(min_length=1, max_length=64)],
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
) -> FoundOrders:
    """Find orders of an article."""
    query = select(Order).where(Order.sku == sku).order_by(Order.placed_at.desc(), Order.id.desc()).limit(limit)
    return FoundOrders(items=[Found.model_validate(order) for order in (await db.scalars(query)).all()])


@router.get("/debug/process")  # expect: debug-endpoint
async def process_state() -> ProcessState:
    """Look into the process."""
    return ProcessState(python=sys.version, modules=len(sys.modules), objects=len(gc.get_objects()))
