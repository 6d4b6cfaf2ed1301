"""A shared catalogue without anything personal, read by its id."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base

router = APIRouter(prefix="/v1/colours", tags=["catalogue"])


class Colour(Base):
    __tablename__ = "colours"

    code: Mapped[str] = mapped_column(String(10), primary_key=True)
    name: Mapped[str] = mapped_column(String(40))


class ColourOut(BaseModel):
    name: str


@router.get("/{code}", responses={404: {"description": "No such colour."}})
async def read_colour(code: Annotated[str, Path(max_length=10)], session: Session) -> ColourOut:
    """Read a colour."""
    colour = await session.get(Colour, code)
    if colour is None:
        raise HTTPException(404, "No such colour.")
    return ColourOut(name=colour.name)
