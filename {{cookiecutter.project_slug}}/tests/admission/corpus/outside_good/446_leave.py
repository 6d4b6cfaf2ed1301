"""Add an endpoint which asks for leave, at most sixty days at a time, and one which withdraws the request."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from app.dependencies import Session
from app.models.people import LeaveRequest

router = APIRouter(prefix="/v1/leave-requests", tags=["leave"])

LONGEST = 60


class LeaveIn(BaseModel):
    """From when to when, and why."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    first_day: date
    last_day: date
    reason: Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\x00]*$")]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 <= (self.last_day - self.first_day).days < LONGEST:
            raise ValueError("at most sixty days, and the first one first")
        return self


class LeaveOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    first_day: date
    last_day: date
    status: str
    decided_at: AwareDatetime | None


@router.post("", status_code=201)
async def ask_for_leave(body: LeaveIn, session: Session) -> LeaveOut:
    """Ask for leave."""
    request = LeaveRequest(first_day=body.first_day, last_day=body.last_day, reason=body.reason, status="asked")
    session.add(request)
    await session.flush()
    return LeaveOut.model_validate(request)


@router.post("/{request_id}/withdraw", responses={404: {"description": "No such request of yours."}})
async def withdraw(request_id: UUID, session: Session) -> LeaveOut:
    """Withdraw a request that nobody has decided."""
    request = await session.get(LeaveRequest, request_id, with_for_update=True)
    if request is None:
        raise HTTPException(404, "No such request.")
    if request.status == "asked":
        request.status = "withdrawn"
        request.decided_at = datetime.now(UTC)
    return LeaveOut.model_validate(request)
