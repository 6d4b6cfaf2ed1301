"""Runs a statement that an administrator types."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/internal", tags=["internal"])


class Rows(BaseModel):
    rows: int


@router.post("/_console")  # expect: debug-endpoint
async def console(session: Session) -> Rows:
    """Count the orders by hand."""
    return Rows(rows=len((await session.scalars(select(Order.id).limit(10))).all()))
