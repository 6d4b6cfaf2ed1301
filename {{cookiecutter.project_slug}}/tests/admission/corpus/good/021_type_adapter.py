"""A pasted list of lines, validated by a TypeAdapter: bounded text in, bounded list out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

router = APIRouter(prefix="/v1/pasted-lines", tags=["orders"])


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    quantity: int = Field(ge=1, le=1000)


LINES: TypeAdapter[list[Line]] = TypeAdapter(Annotated[list[Line], Field(max_length=50)])


class Pasted(BaseModel):
    model_config = ConfigDict(extra="forbid")

    json_text: str = Field(min_length=2, max_length=8000)


class LineOut(BaseModel):
    sku: str
    quantity: int


class Lines(BaseModel):
    items: list[LineOut]
    total_quantity: int


@router.post("/check", responses={422: {"description": "Not a list of lines."}})
async def check_lines(pasted: Pasted) -> Lines:
    """Say what was understood of a pasted list."""
    try:
        lines = LINES.validate_json(pasted.json_text)
    except ValidationError as error:
        raise HTTPException(422, "Not a list of lines.") from error
    return Lines(
        items=[LineOut(sku=line.sku, quantity=line.quantity) for line in lines],
        total_quantity=sum(line.quantity for line in lines),
    )
