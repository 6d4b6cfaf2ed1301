"""Add an endpoint with which I withdraw a leave request, and note when that was."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict

from app.dependencies import Session
from app.models.people import LeaveRequest

router = APIRouter(prefix="/v1/leave-requests", tags=["leave"])


class LeaveOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    status: str
    decided_at: datetime | None


@router.post("/{request_id}/withdraw", responses={404: {"description": "No such request of yours."}})
async def withdraw(request_id: UUID, session: Session) -> LeaveOut:
    """Withdraw a request that nobody has decided."""
    request = await session.get(LeaveRequest, request_id, with_for_update=True)
    if request is None:
        raise HTTPException(status_code=404, detail="No such request.")
    if request.status == "asked":
        request.status = "withdrawn"
        request.decided_at = datetime.now()  # expect: naive-datetime
    return LeaveOut.model_validate(request)
