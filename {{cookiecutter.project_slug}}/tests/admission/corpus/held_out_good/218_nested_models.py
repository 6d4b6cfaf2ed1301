"""Nested, bounded models."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/surveys", tags=["surveys"])


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    question: UUID
    choice: Literal["yes", "no", "unsure"]


class Survey(BaseModel):
    model_config = ConfigDict(extra="forbid")

    answers: tuple[Answer, ...] = Field(min_length=1, max_length=30)


class Summary(BaseModel):
    yes: int


@router.post("")
async def take(survey: Survey) -> Summary:
    """Count the answers."""
    return Summary(yes=sum(each.choice == "yes" for each in survey.answers))
