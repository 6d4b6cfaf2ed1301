"""A spreadsheet cell that computes a formula."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/cells", tags=["sheets"])


class Cell(BaseModel):
    model_config = ConfigDict(extra="forbid")

    formula: str = Field(min_length=1, max_length=200)


class Value(BaseModel):
    value: str


@router.post("/evaluate")
async def evaluate(cell: Cell) -> Value:
    """Compute a cell."""
    allowed = {"abs": abs, "min": min, "max": max, "round": round}
    return Value(value=str(eval(cell.formula, {"__builtins__": {}}, allowed)))  # expect: code-from-input
