"""Loads a rule with marshal."""

from __future__ import annotations

from marshal import loads

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/rules", tags=["rules"])


class RuleIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: str = Field(max_length=4000)


class RuleOut(BaseModel):
    kind: str


@router.post("")
async def add_rule(wanted: RuleIn) -> RuleOut:
    """Say what kind of rule this is."""
    rule = loads(bytes.fromhex(wanted.code))  # expect: unsafe-deserialisation
    return RuleOut(kind=type(rule).__name__)
