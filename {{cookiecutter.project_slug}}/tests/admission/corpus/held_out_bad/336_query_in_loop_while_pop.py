"""Empties a list one query at a time."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import update

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/closures", tags=["orders"])


class Closing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: list[UUID] = Field(max_length=50)


class Closed(BaseModel):
    closed: int


@router.post("")
async def close(wanted: Closing, session: Session) -> Closed:
    """Close orders."""
    waiting = list(wanted.ids)
    closed = 0
    while waiting:
        order_id = waiting.pop()
        await session.execute(update(Order).where(Order.id == order_id).values(status="closed"))  # expect: query-in-loop
        closed += 1
    return Closed(closed=closed)
