"""Returns anything."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/latest", tags=["orders"])


def _shape(order: Order) -> dict[str, Any]:
    return {"id": order.id, "sku": order.sku}


@router.get("", status_code=200)  # expect: no-response-model
async def latest(session: Session) -> Any:
    """Return the latest order."""
    order = await session.scalar(select(Order).order_by(Order.placed_at.desc()).limit(1))
    if order is None:
        raise HTTPException(404, "No order yet.")
    return _shape(order)
