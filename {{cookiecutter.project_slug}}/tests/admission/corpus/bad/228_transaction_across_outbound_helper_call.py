"""The call hides in a helper, after an update."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import update

from app.dependencies import Session, Shipping
from app.models.orders import Order

router = APIRouter(prefix="/v1/returns", tags=["orders"])


class ReturnOut(BaseModel):
    label: str


async def _label(shipping: Shipping, order_id: UUID) -> str:
    answer = await shipping.post("/labels", json={"order": str(order_id)})  # expect: transaction-across-outbound
    return str(answer.json()["label"])


@router.post("/{order_id}", status_code=201)
async def send_back(order_id: UUID, session: Session, shipping: Shipping) -> ReturnOut:
    """Send an order back."""
    await session.execute(update(Order).where(Order.id == order_id).values(status="returned"))
    return ReturnOut(label=await _label(shipping, order_id))  # or: transaction-across-outbound
