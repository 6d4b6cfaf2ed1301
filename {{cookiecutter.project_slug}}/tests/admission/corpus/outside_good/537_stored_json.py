"""Add an endpoint which shows the options of a translation project."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.translations import Project

router = APIRouter(prefix="/v1/projects", tags=["translations"])


class Options(BaseModel):
    """How a project is to be translated."""

    model_config = ConfigDict(extra="forbid")

    tone: Literal["formal", "informal"] = "informal"
    review: bool = True
    max_length: Annotated[int, Field(ge=10, le=2000)] = 500


@router.get("/{project_id}/options", responses={404: {"description": "No such project of yours."}})
async def read_options(project_id: UUID, session: Session) -> Options:
    """Read the options, which are kept as JSON that was checked when it came."""
    project = await session.get(Project, project_id)
    if project is None:
        raise HTTPException(404, "No such project.")
    return Options.model_validate_json(project.options)


@router.put("/{project_id}/options", responses={404: {"description": "No such project of yours."}})
async def replace_options(project_id: UUID, wanted: Options, session: Session) -> Options:
    """Replace the options."""
    project = await session.get(Project, project_id, with_for_update=True)
    if project is None:
        raise HTTPException(404, "No such project.")
    project.options = wanted.model_dump_json()
    return wanted
