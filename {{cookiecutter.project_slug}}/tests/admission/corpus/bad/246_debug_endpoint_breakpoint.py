"""A breakpoint that was left in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

router = APIRouter(prefix="/v1/steps", tags=["tools"])


class Step(BaseModel):
    number: int


@router.get("/{number}")
async def step(number: Annotated[int, Path(ge=0, le=100)]) -> Step:
    """Return a step."""
    if number == 42:
        breakpoint()  # expect: debug-endpoint
    return Step(number=number)
