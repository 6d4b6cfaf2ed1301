"""Add an endpoint where an applicant sees how an application stands."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict

from app.dependencies import Session
from app.models.applications import Application

router = APIRouter(prefix="/v1/my-applications", tags=["applications"])


class ApplicationBase(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    vacancy_id: int
    stage: str


class ApplicationDetail(ApplicationBase):
    letter: str
    created_at: datetime
    recruiter_notes: str | None  # expect: leaking-response


@router.get("/{application_id}", responses={404: {"description": "No such application of yours."}})
async def read_application(application_id: UUID, session: Session) -> ApplicationDetail:
    application = await session.get(Application, application_id)
    if application is None:
        raise HTTPException(404, "No such application.")
    return ApplicationDetail.model_validate(application)
