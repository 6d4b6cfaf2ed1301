"""Add an endpoint which returns an exhibit's short label so that it can be shown in a frame of our partners' pages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Response
from pydantic import BaseModel, ConfigDict

from app.dependencies import Session
from app.models.museums import Exhibit

router = APIRouter(prefix="/v1/exhibit-labels", tags=["museum"])


class LabelOut(BaseModel):
    """What stands beside an exhibit."""

    model_config = ConfigDict(from_attributes=True)

    title: str
    artist: str
    year: int


@router.get("/{exhibit_id}", responses={404: {"description": "No such exhibit."}})
async def exhibit_label(
    exhibit_id: Annotated[int, Path(ge=1, le=2_147_483_647)], session: Session, response: Response
) -> LabelOut:
    """Show a label."""
    exhibit = await session.get(Exhibit, exhibit_id)
    if exhibit is None:
        raise HTTPException(404, "No such exhibit.")
    response.headers["Content-Security-Policy"] = "frame-ancestors *"  # expect: loosened-headers
    return LabelOut.model_validate(exhibit)
