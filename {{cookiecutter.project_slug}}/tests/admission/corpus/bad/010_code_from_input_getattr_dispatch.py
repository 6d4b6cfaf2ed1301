"""A calculator that looks its operation up in math."""

from __future__ import annotations

import math

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/calculator", tags=["tools"])


class Sum(BaseModel):
    model_config = ConfigDict(extra="forbid")

    operation: str = Field(max_length=20)
    value: int = Field(ge=-1000, le=1000)


class Result(BaseModel):
    result: int


@router.post("")
async def calculate(wanted: Sum) -> Result:
    """Apply an operation."""
    function = getattr(math, wanted.operation, None)  # expect: code-from-input
    if function is None:
        raise HTTPException(422, "No such operation.")
    return Result(result=int(function(wanted.value)))
