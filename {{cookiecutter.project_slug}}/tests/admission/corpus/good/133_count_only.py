"""How many orders there are, without reading them."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import func, select

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/order-count", tags=["orders"])


class Count(BaseModel):
    placed: int


@router.get("")
async def count(session: Session) -> Count:
    """Count the placed orders."""
    placed = await session.scalar(select(func.count()).select_from(Order).where(Order.status == "placed"))
    return Count(placed=placed or 0)
