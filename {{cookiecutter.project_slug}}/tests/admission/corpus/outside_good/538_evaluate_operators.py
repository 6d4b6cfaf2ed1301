"""Add an endpoint which lets people try an alarm rule (comparison and threshold) against their last readings."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from app.dependencies import Session
from app.models.sensors import Reading

router = APIRouter(prefix="/v1/alarm-rules", tags=["alarms"])

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class RuleIn(BaseModel):
    """When the alarm is to be raised."""

    model_config = ConfigDict(extra="forbid")

    sensor_id: UUID
    compare: Literal["<", "<=", ">", ">="]
    threshold: Annotated[float, Field(ge=-1e6, le=1e6)]

    def eval(self, value: float) -> bool:
        """Say whether a value raises it."""
        return COMPARE[self.compare](value, self.threshold)


class RuleOut(BaseModel):
    """How many of the last hundred readings would have."""

    looked_at: int
    raised: int


@router.post("/try")
async def try_rule(rule: RuleIn, session: Session) -> RuleOut:
    """Try a rule."""
    newest = select(Reading.value).where(Reading.sensor_id == rule.sensor_id)
    values = (await session.scalars(newest.order_by(Reading.taken_at.desc()).limit(100))).all()
    return RuleOut(looked_at=len(values), raised=sum(rule.eval(value) for value in values))
