"""Add a search over the library catalogue by author, words of the title and year."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, select

from app.dependencies import Session
from app.models.libraries import Title

router = APIRouter(tags=["library"])

Words = Annotated[str | None, Query(min_length=2, max_length=100, pattern=r"^[^\x00]*$")]


class TitleOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    isbn: str
    name: str
    author: str
    year: int


def conditions(author: str | None, words: str | None, year: int | None) -> list[ColumnElement[bool]]:
    """Collect what was asked for; what is not given asks for nothing."""
    found: list[ColumnElement[bool]] = []
    if author is not None:
        found.append(Title.author == author)
    if words is not None:
        found.append(Title.name.icontains(words, autoescape=True))
    if year is not None:
        found.append(Title.year == year)
    return found


@router.get("/v1/titles/search")
async def search_titles(
    session: Session,
    author: Words = None,
    words: Words = None,
    year: Annotated[int | None, Query(ge=1450, le=2100)] = None,
    after: Annotated[str, Query(pattern=r"^[0-9X]{0,13}$")] = "",
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
) -> list[TitleOut]:
    """Search the catalogue."""
    statement = select(Title).where(Title.isbn > after, *conditions(author, words, year))
    found = await session.scalars(statement.order_by(Title.isbn).limit(limit))
    return [TitleOut.model_validate(title) for title in found]
