"""An operation from a closed table of functions."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/sums", tags=["tools"])

OPERATIONS: dict[str, Callable[[int, int], int]] = {"add": operator.add, "sub": operator.sub, "max": max}


class SumIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    operation: Literal["add", "sub", "max"]
    left: int = Field(ge=-1000, le=1000)
    right: int = Field(ge=-1000, le=1000)


class SumOut(BaseModel):
    result: int


@router.post("")
async def compute(wanted: SumIn) -> SumOut:
    """Compute."""
    return SumOut(result=OPERATIONS[wanted.operation](wanted.left, wanted.right))
