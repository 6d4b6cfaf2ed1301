"""Returns a dictionary without a model."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import func, select

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/summary", tags=["orders"])


@router.get("")  # expect: no-response-model
async def summary(session: Session):
    """Count the orders."""
    count = await session.scalar(select(func.count()).select_from(Order))
    return {"orders": count}
