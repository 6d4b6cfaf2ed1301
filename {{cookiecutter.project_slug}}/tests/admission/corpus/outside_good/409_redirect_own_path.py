"""Add an endpoint which leads from an old order number to where orders are now."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, HTTPException
from fastapi.responses import RedirectResponse

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v0/orders", tags=["orders"])


@router.get("/{order_id}", response_class=RedirectResponse, responses={404: {"description": "No such order of yours."}})
async def moved(order_id: UUID, session: Session) -> RedirectResponse:
    """Redirect to the order's new place, on this very service."""
    order = await session.get(Order, order_id)
    if order is None:
        raise HTTPException(status_code=404, detail="No such order.")
    return RedirectResponse(f"/v1/orders/{order.id}", status_code=308)
