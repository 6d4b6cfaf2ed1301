"""Add an endpoint which lets people try an alarm formula, like "value * 1.8 > 90", against their last readings."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from app.dependencies import Session
from app.models.sensors import Reading

router = APIRouter(prefix="/v1/alarm-formulas", tags=["alarms"])


class FormulaIn(BaseModel):
    """A formula over ``value``."""

    model_config = ConfigDict(extra="forbid")

    sensor_id: UUID
    formula: str = Field(min_length=1, max_length=200)


class FormulaOut(BaseModel):
    """How many of the last hundred readings would have raised the alarm."""

    looked_at: int
    raised: int


@router.post("/try")
async def try_formula(wanted: FormulaIn, session: Session) -> FormulaOut:
    """Try a formula."""
    newest = select(Reading.value).where(Reading.sensor_id == wanted.sensor_id)
    values = (await session.scalars(newest.order_by(Reading.taken_at.desc()).limit(100))).all()
    raised = 0
    for value in values:
        try:
            if eval(wanted.formula, {"__builtins__": {}}, {"value": value}):  # expect: code-from-input
                raised += 1
        except (SyntaxError, NameError, TypeError, ZeroDivisionError):
            raise HTTPException(422, "This formula cannot be computed.") from None
    return FormulaOut(looked_at=len(values), raised=raised)
