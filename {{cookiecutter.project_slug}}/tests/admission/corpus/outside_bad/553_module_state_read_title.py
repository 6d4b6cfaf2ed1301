"""Add an endpoint which shows a title of the catalogue, quickly, since the same ones are asked for again and again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, ConfigDict

from app.dependencies import Session
from app.models.libraries import Title

router = APIRouter(prefix="/v1/titles", tags=["library"])

_cache: dict[str, TitleOut | None] = {}


class TitleOut(BaseModel):
    """A title of the catalogue."""

    model_config = ConfigDict(from_attributes=True)

    isbn: str
    name: str
    author: str
    year: int


@router.get("/{isbn}", responses={404: {"description": "No such title."}})
async def read_title(isbn: Annotated[str, Path(pattern=r"^[0-9]{9,12}[0-9X]$")], session: Session) -> TitleOut:
    """Read a title."""
    if isbn not in _cache:
        title = await session.get(Title, isbn)
        _cache[isbn] = TitleOut.model_validate(title) if title is not None else None  # expect: module-state
    found = _cache[isbn]
    if found is None:
        raise HTTPException(404, "No such title.")
    return found
