"""Add an endpoint that lists all exhibits of a room."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.museums import Exhibit

router = APIRouter(prefix="/v1/exhibits", tags=["museum"])


class ExhibitOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    title: str
    artist: str
    year: int


@router.get("")
async def list_exhibits(
    session: Session, room: Annotated[str, Query(pattern=r"^[A-Z0-9-]{1,20}$")]
) -> list[ExhibitOut]:
    exhibits = await session.scalars(select(Exhibit).where(Exhibit.room == room).order_by(Exhibit.id))  # expect: unbounded-result
    return [ExhibitOut.model_validate(exhibit) for exhibit in exhibits]
