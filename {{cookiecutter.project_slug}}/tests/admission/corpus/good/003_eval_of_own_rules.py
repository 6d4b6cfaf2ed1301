"""Alarm rules of devices: a rule has an operator from a closed set, and ``eval`` is a method of the rule."""

from __future__ import annotations

import operator
from typing import Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/alarm-rules", tags=["devices"])

OPERATORS = {"lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}


class AlarmRule(Owned, Base):
    __tablename__ = "alarm_rules"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    comparison: Mapped[str] = mapped_column(String(2))
    limit_milli: Mapped[int]

    def eval(self, reading_milli: int) -> bool:
        """Return whether the alarm sounds at this reading."""
        return OPERATORS[self.comparison](reading_milli, self.limit_milli)


class RuleIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    comparison: Literal["lt", "le", "gt", "ge"]
    limit_milli: int = Field(ge=-1_000_000, le=1_000_000, strict=True)


class RuleOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    comparison: str
    limit_milli: int


class Reading(BaseModel):
    model_config = ConfigDict(extra="forbid")

    value_milli: int = Field(ge=-1_000_000, le=1_000_000, strict=True)


class Verdict(BaseModel):
    alarm: bool


@router.post("", status_code=201)
async def create_rule(wanted: RuleIn, session: Session) -> RuleOut:
    """Keep a rule."""
    rule = AlarmRule(comparison=wanted.comparison, limit_milli=wanted.limit_milli)
    session.add(rule)
    await session.flush()
    return RuleOut.model_validate(rule)


@router.post("/{rule_id}/eval", responses={404: {"description": "No such rule of yours."}})
async def eval_rule(rule_id: UUID, reading: Reading, session: Session) -> Verdict:
    """Try a rule on a reading."""
    rule = await session.get(AlarmRule, rule_id)
    if rule is None:
        raise HTTPException(404, "No such rule.")
    return Verdict(alarm=rule.eval(reading.value_milli))
