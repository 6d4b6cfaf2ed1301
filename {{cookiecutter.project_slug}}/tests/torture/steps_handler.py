"""A handler of the torture's own: notes a step, which a job repeats in the order in which steps were noted."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Outbox

router = APIRouter(prefix="/v1/steps")


class Step(BaseModel):
    model_config = ConfigDict(extra="forbid")

    walk: str = Field(min_length=32, max_length=32)
    number: int = Field(ge=0, le=1000)


@router.post("", status_code=201)
async def note(step: Step, outbox: Outbox) -> Step:
    await outbox.add("torture.step", step, key=step.walk)
    return step
