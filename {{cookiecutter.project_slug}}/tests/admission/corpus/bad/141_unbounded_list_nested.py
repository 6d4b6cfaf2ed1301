"""A basket with any number of lines."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/quotes", tags=["quotes"])


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: str = Field(min_length=1, max_length=64)
    quantity: int = Field(ge=1, le=100)


class QuoteIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    lines: list[Line] = Field(min_length=1)  # expect: unbounded-list


class QuoteOut(BaseModel):
    pieces: int


@router.post("")
async def quote(wanted: QuoteIn) -> QuoteOut:
    """Count the pieces."""
    return QuoteOut(pieces=sum(line.quantity for line in wanted.lines))
