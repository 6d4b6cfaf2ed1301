"""Many ids in one statement, bound."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/order-batches", tags=["orders"])


class Ids(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: list[UUID] = Field(min_length=1, max_length=50)


class Known(BaseModel):
    known: list[UUID]


@router.post("")
async def known(wanted: Ids, session: Session) -> Known:
    """Say which orders there are."""
    rows = await session.scalars(select(Order.id).where(Order.id.in_(wanted.ids)).limit(50))
    return Known(known=list(rows))
