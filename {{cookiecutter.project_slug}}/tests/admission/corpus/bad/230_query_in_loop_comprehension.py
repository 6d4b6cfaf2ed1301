"""A comprehension that asks the database each time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/levels", tags=["inventory"])


class Skus(BaseModel):
    model_config = ConfigDict(extra="forbid")

    skus: list[Annotated[str, Field(max_length=64)]] = Field(max_length=50)


class Levels(BaseModel):
    levels: list[int]


@router.post("")
async def levels(wanted: Skus, session: Session) -> Levels:
    """Say how many there are of each."""
    found = [await session.scalar(select(Stock.available).where(Stock.sku == sku)) for sku in wanted.skus]  # expect: query-in-loop
    return Levels(levels=[level or 0 for level in found])
