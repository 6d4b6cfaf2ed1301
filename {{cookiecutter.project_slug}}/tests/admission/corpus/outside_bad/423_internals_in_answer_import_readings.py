"""Add an endpoint which imports up to fifty readings at once and says for each line what went wrong."""

from __future__ import annotations

import traceback
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.devices import Device, Reading

router = APIRouter(prefix="/v1/devices", tags=["devices"])

Line = Annotated[str, Field(min_length=1, max_length=80)]


class ImportIn(BaseModel):
    """Lines such as ``temperature;21.5;2026-01-05T10:00:00+00:00``."""

    model_config = ConfigDict(extra="forbid")

    lines: Annotated[list[Line], Field(min_length=1, max_length=50)]


class LineError(BaseModel):
    line: int
    problem: str


class ImportOut(BaseModel):
    imported: int
    errors: list[LineError]


def explain(number: int, error: Exception) -> LineError:
    """Describe a failure so that it can be found."""
    return LineError(line=number, problem="".join(traceback.format_exception(error)))  # expect: internals-in-answer


def parse(device_id: UUID, line: str) -> Reading:
    metric, value, moment = line.split(";")
    taken_at = datetime.fromisoformat(moment)
    if taken_at.tzinfo is None or metric not in {"temperature", "humidity"} or not -100 <= float(value) <= 200:
        raise ValueError("unusable line")
    return Reading(device_id=device_id, metric=metric, value=float(value), taken_at=taken_at)


@router.post("/{device_id}/imports", status_code=201, responses={404: {"description": "No such device of yours."}})
async def import_readings(device_id: UUID, body: ImportIn, session: Session) -> ImportOut:
    """Import what can be read, and report the rest."""
    if await session.get(Device, device_id) is None:
        raise HTTPException(404, "No such device.")
    good: list[Reading] = []
    errors: list[LineError] = []
    for number, line in enumerate(body.lines, start=1):
        try:
            good.append(parse(device_id, line))
        except ValueError as error:
            errors.append(explain(number, error))
    session.add_all(good)
    return ImportOut(imported=len(good), errors=errors)
