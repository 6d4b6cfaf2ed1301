"""Add endpoints to create a planting in the garden diary and to correct it."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import IntegrityError

from app.dependencies import Session
from app.models.gardens import Planting

router = APIRouter(prefix="/v1/plantings", tags=["garden"])


class Strict(BaseModel):
    """What every request has in common."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Noted(Strict):
    """Something with a note."""

    note: Annotated[str | None, Field(max_length=500, pattern=r"^[^\x00]*$")] = None


class PlantingIn(Noted):
    """What was sown, and when."""

    seed_id: Annotated[int, Field(ge=1, le=2_147_483_647)]
    sown_on: date


class PlantingNote(Noted):
    """A correction: the note only."""


class PlantingOut(BaseModel):
    """A planting as the gardener sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    seed_id: int
    note: str | None
    sown_on: date


@router.post("", status_code=201, responses={409: {"description": "No such seed."}})
async def sow(wanted: PlantingIn, session: Session) -> PlantingOut:
    """Keep a planting."""
    planting = Planting(seed_id=wanted.seed_id, sown_on=wanted.sown_on, note=wanted.note)
    try:
        async with session.begin_nested():
            session.add(planting)
    except IntegrityError:
        raise HTTPException(409, "There is no such seed.") from None
    return PlantingOut.model_validate(planting)


@router.put("/{planting_id}/note", responses={404: {"description": "No such planting of yours."}})
async def correct_note(planting_id: UUID, wanted: PlantingNote, session: Session) -> PlantingOut:
    """Replace the note."""
    planting = await session.get(Planting, planting_id, with_for_update=True)
    if planting is None:
        raise HTTPException(404, "No such planting.")
    planting.note = wanted.note
    return PlantingOut.model_validate(planting)
