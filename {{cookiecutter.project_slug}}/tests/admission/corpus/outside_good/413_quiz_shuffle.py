"""Add an endpoint which deals the numbers of a course's questions in an order that differs from person to person."""

from __future__ import annotations

import random
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

from app.dependencies import Caller, Session
from app.models.courses import Course

router = APIRouter(prefix="/v1/quizzes", tags=["courses"])


class Deal(BaseModel):
    """In which order to ask."""

    course_id: UUID
    questions: list[int]


@router.get("/{course_id}", responses={404: {"description": "No such course."}})
async def deal(
    course_id: UUID, caller: Caller, session: Session, count: Annotated[int, Query(ge=1, le=60)] = 10
) -> Deal:
    """Shuffle: the same order whenever the same person asks. Nothing depends on nobody guessing it."""
    if await session.get(Course, course_id) is None:
        raise HTTPException(404, "No such course.")
    questions = list(range(1, count + 1))
    random.Random(f"{course_id}:{caller.subject}").shuffle(questions)
    return Deal(course_id=course_id, questions=questions)
