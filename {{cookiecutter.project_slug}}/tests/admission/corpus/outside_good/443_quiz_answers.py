"""Add an endpoint which submits all answers of a quiz at once."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, status
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.courses import Answer, Course

router = APIRouter(prefix="/v1/courses", tags=["courses"])


class AnswerIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    question: int = Field(ge=1, le=200)
    text: str = Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")


class SubmissionIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    answers: Annotated[list[AnswerIn], Field(min_length=1, max_length=200)]


class SubmissionOut(BaseModel):
    accepted: int


@router.post(
    "/{course_id}/answers",
    status_code=status.HTTP_201_CREATED,
    response_model=SubmissionOut,
    responses={404: {"description": "No such course."}},
)
async def submit_answers(course_id: UUID, submission: SubmissionIn, db: Session) -> SubmissionOut:
    """Submit the answers of a quiz. Points are given by whoever marks it."""
    course = await db.get(Course, course_id)
    if course is None:
        raise HTTPException(status_code=status.HTTP_404_NOT_FOUND, detail="No such course.")
    rows = []
    for given in submission.answers:
        rows.append(Answer(course_id=course.id, question=given.question, text=given.text))
    db.add_all(rows)
    return SubmissionOut(accepted=len(rows))
