"""Add an endpoint with which people apply for a vacancy, once each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import IntegrityError

from app.dependencies import Outbox, Session
from app.models.applications import Application, Vacancy

router = APIRouter(prefix="/v1/applications", tags=["applications"])


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


@router.post("", status_code=201, responses={409: {"description": "Applied already, or no longer open."}})
async def apply(wanted: ApplicationIn, session: Session, outbox: Outbox) -> ApplicationOut:
    """Apply. The mail that says so is sent by a job, which knows the application's number only."""
    vacancy = await session.get(Vacancy, wanted.vacancy_id)
    if vacancy is None or vacancy.closes_at <= datetime.now(UTC):
        raise HTTPException(409, "This vacancy is not open.")
    application = Application(vacancy_id=vacancy.id, email=wanted.email, letter=wanted.letter)
    try:
        async with session.begin_nested():
            session.add(application)
    except IntegrityError:
        raise HTTPException(409, "You have applied already.") from None
    await outbox.add("application.received", {"application_id": application.id}, key=str(application.id))
    return ApplicationOut.model_validate(application)
