"""Asks for each id of a list."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/lookups", tags=["orders"])


class Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: list[UUID] = Field(max_length=100)


class Known(BaseModel):
    known: list[UUID]


@router.post("")
async def look_up(wanted: Wanted, session: Session) -> Known:
    """Say which orders there are."""
    known = []
    for order_id in wanted.ids:
        order = await session.get(Order, order_id)  # expect: query-in-loop
        if order is not None:
            known.append(order.id)
    return Known(known=known)
