"""Logs name and birthday of a patient by formatting."""

from __future__ import annotations

from datetime import date

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/patients", tags=["patients"])

log = structlog.stdlib.get_logger()


class PatientIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    full_name: str = Field(max_length=80)
    date_of_birth: date


class PatientOut(BaseModel):
    admitted: bool


@router.post("", status_code=201)
async def admit(patient: PatientIn) -> PatientOut:
    """Admit a patient."""
    log.info("admitted {} born {}".format(patient.full_name, patient.date_of_birth))  # expect: pii-in-log
    return PatientOut(admitted=True)
