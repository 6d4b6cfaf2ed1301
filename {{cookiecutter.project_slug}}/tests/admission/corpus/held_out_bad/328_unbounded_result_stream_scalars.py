"""Reads a stream of everything into a list."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/all-skus", tags=["inventory"])


class Skus(BaseModel):
    skus: list[str]


@router.get("")
async def all_skus(session: Session) -> Skus:
    """List all article numbers."""
    stream = await session.stream_scalars(select(Stock.sku))  # expect: unbounded-result
    return Skus(skus=[sku async for sku in stream])
