"""A report grouped by a field that the body names."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, literal_column, select

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/reports", tags=["reports"])


class Grouping(BaseModel):
    model_config = ConfigDict(extra="forbid")

    field: str = Field(min_length=1, max_length=40)


class Row(BaseModel):
    key: str
    count: int


@router.post("/grouped")
async def grouped(wanted: Grouping, session: Session) -> list[Row]:
    """Count orders by a field."""
    column = literal_column(wanted.field)  # expect: sql-from-input
    rows = await session.execute(select(column, func.count()).select_from(Order).group_by(column).limit(100))
    return [Row(key=str(key), count=count) for key, count in rows]
