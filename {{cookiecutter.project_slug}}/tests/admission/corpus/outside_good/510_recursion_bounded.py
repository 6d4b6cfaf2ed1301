"""Add an endpoint which counts the questions and points of a nested quiz outline."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/quiz-outlines", tags=["games"])

MAX_DEPTH = 5
MAX_SECTIONS = 200


class Section(BaseModel):
    """A section, with sections in it."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=80)]
    points: Annotated[int, Field(ge=0, le=1000)] = 0
    sections: Annotated[list[Section], Field(max_length=10)] = []


class Totals(BaseModel):
    """What an outline comes to."""

    sections: int
    points: int


def total(section: Section, depth: int = 1) -> Totals:
    """Add up, at most five levels deep."""
    if depth > MAX_DEPTH:
        raise HTTPException(422, "An outline has five levels at most.")
    sums = Totals(sections=1, points=section.points)
    for inner in section.sections:
        part = total(inner, depth + 1)
        sums.sections += part.sections
        sums.points += part.points
        if sums.sections > MAX_SECTIONS:
            raise HTTPException(422, "An outline has two hundred sections at most.")
    return sums


@router.post("/totals")
async def outline_totals(outline: Section) -> Totals:
    """Add up an outline."""
    return total(outline)
