"""Add an endpoint with which people apply for a vacancy."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import IntegrityError

from app.dependencies import Session
from app.models.applications import Application

router = APIRouter(prefix="/v1/applications", tags=["applications"])
log = structlog.get_logger()


class ApplicationIn(BaseModel):
    """An application."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    vacancy_id: int = Field(ge=1, le=2_147_483_647)
    email: Annotated[str, Field(max_length=254, pattern=r"^[^@\s\x00]+@[^@\s\x00]+$")]
    letter: Annotated[str, Field(min_length=1, max_length=5000, pattern=r"^[^\x00]*$")]


class ApplicationOut(BaseModel):
    """An application as the applicant sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    vacancy_id: int
    stage: str
    created_at: datetime


@router.post("", status_code=201, responses={409: {"description": "Applied already, or no such vacancy."}})
async def apply(wanted: ApplicationIn, session: Session) -> ApplicationOut:
    """Apply for a vacancy."""
    application = Application(vacancy_id=wanted.vacancy_id, email=wanted.email, letter=wanted.letter)
    try:
        async with session.begin_nested():
            session.add(application)
    except IntegrityError:
        raise HTTPException(409, "There is an application already, or no such vacancy.") from None
    log.info("application_received", vacancy_id=wanted.vacancy_id, email=wanted.email)  # expect: pii-in-log
    return ApplicationOut.model_validate(application)
