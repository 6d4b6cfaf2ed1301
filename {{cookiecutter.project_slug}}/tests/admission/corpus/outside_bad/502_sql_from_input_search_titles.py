"""Add a search over the library catalogue by author, words of the title and year."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select, text

from app.dependencies import Session
from app.models.libraries import Title

router = APIRouter(tags=["catalogue"])


class TitleOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    isbn: str
    name: str
    author: str
    year: int


def build_filters(author: str | None, words: str | None, year: int | None) -> str:
    """Build the WHERE part of the search."""
    conditions = ["1 = 1"]
    if author:
        conditions.append("author = '" + author + "'")  # expect: sql-from-input
    if words:
        conditions.append("copies > 0")
    if year is not None:
        conditions.append("year >= 1450")
    return " AND ".join(conditions)


@router.get("/v1/titles/search")
async def search_titles(
    session: Session,
    author: Annotated[str | None, Query(max_length=120)] = None,
    words: Annotated[str | None, Query(max_length=100, pattern=r"^[^\x00]*$")] = None,
    year: Annotated[int | None, Query(ge=1450, le=2100)] = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
) -> list[TitleOut]:
    """Search the catalogue."""
    statement = select(Title).where(text(build_filters(author, words, year))).order_by(Title.isbn).limit(limit)
    if words:
        statement = statement.where(Title.name.contains(words, autoescape=True))
    if year is not None:
        statement = statement.where(Title.year == year)
    found = (await session.scalars(statement)).all()
    return [TitleOut.model_validate(title) for title in found]
