"""Add an endpoint which checks a shopping list before it is printed: titles, sections and the articles in each."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Caller

router = APIRouter(prefix="/v1/shopping-lists", tags=["lists"])

Label = Annotated[str, Field(min_length=1, max_length=60)]
Count = Annotated[int, Field(ge=1, le=99)]


class Strict(BaseModel):
    """Nothing that is not asked for."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Section(Strict):
    name: Label
    articles: dict[Label, Count]  # expect: unbounded-list


class ListIn(Strict):
    title: Label
    sections: Annotated[list[Section], Field(min_length=1, max_length=20)]


class ListOut(BaseModel):
    """How many lines and how many pieces will be printed."""

    lines: int
    pieces: int


@router.post("/check")
async def check_list(body: ListIn, caller: Caller) -> ListOut:
    """Count what a list holds."""
    lines = sum(len(section.articles) for section in body.sections)
    pieces = sum(sum(section.articles.values()) for section in body.sections)
    return ListOut(lines=lines, pieces=pieces)
