"""Add an endpoint which books an appointment with a doctor, with an audit trail of what was asked for."""

import logging
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.dependencies import Caller, Session
from app.models.clinic import Appointment

router = APIRouter(prefix="/v1/appointments", tags=["clinic"])
logger = logging.getLogger(__name__)


class AppointmentIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    doctor: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00]*$")]
    starts_at: AwareDatetime
    reason: Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\x00]*$")]


class AppointmentOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    doctor: str
    starts_at: AwareDatetime
    status: str


class Audit:
    """Leaves a line for each thing that a person did."""

    def __init__(self, action: str) -> None:
        self.action = action

    def record(self, subject: str, request: BaseModel) -> None:
        logger.info("%s by %s: %s", self.action, subject, request.model_dump_json())  # expect: pii-in-log


booked = Audit("appointment.booked")


@router.post("", status_code=201)
async def book(body: AppointmentIn, caller: Caller, session: Session) -> AppointmentOut:
    """Book an appointment."""
    appointment = Appointment(doctor=body.doctor, starts_at=body.starts_at, reason=body.reason)
    session.add(appointment)
    await session.flush()
    booked.record(caller.subject, body)
    return AppointmentOut.model_validate(appointment)
