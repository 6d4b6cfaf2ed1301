"""Add an endpoint which moves an own translation project from one state to the next."""

from typing import Literal
from uuid import UUID

import structlog
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict

from app.dependencies import Session
from app.models.translations import Project

router = APIRouter(prefix="/v1/projects", tags=["translations"])
log = structlog.get_logger()

NEXT: dict[str, frozenset[str]] = {
    "draft": frozenset({"ordered", "dropped"}),
    "ordered": frozenset({"dropped"}),
    "delivered": frozenset({"accepted", "ordered"}),
}


class Move(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: Literal["ordered", "dropped", "accepted"]


class ProjectOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    status: str


@router.post(
    "/{project_id}/moves", responses={404: {"description": "None of yours."}, 409: {"description": "Not now."}}
)
async def move(project_id: UUID, wanted: Move, session: Session) -> ProjectOut:
    """The row is locked, so what was read is what is changed."""
    project = await session.get(Project, project_id, with_for_update=True)
    if project is None:
        raise HTTPException(404, "No such project.")
    if wanted.to not in NEXT.get(project.status, frozenset()):
        raise HTTPException(409, "The project cannot go there from where it is.")
    project.status = wanted.to
    log.info("project_moved", project_id=str(project.id), to=wanted.to)
    return ProjectOut.model_validate(project)
