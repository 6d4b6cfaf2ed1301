"""Groups by one of two columns, from a table of columns."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import func, select

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/order-groups", tags=["orders"])

COLUMNS = {"sku": Order.sku, "status": Order.status}


class Group(BaseModel):
    key: str
    count: int


@router.get("")
async def groups(by: Annotated[Literal["sku", "status"], Query()], session: Session) -> list[Group]:
    """Count orders by a column."""
    column = COLUMNS[by]
    rows = await session.execute(select(column, func.count()).group_by(column).order_by(column).limit(100))
    return [Group(key=key, count=count) for key, count in rows]
