"""All orders of one article, without a page."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/order-exports", tags=["orders"])


class Exported(BaseModel):
    ids: list[UUID]


@router.get("/{sku}")
async def export(sku: Annotated[str, Path(max_length=64)], session: Session) -> Exported:
    """Return the ids of all orders of an article."""
    statement = select(Order.id).where(Order.sku == sku)
    result = await session.execute(statement)  # or: unbounded-result
    return Exported(ids=[row[0] for row in result.all()])  # expect: unbounded-result
