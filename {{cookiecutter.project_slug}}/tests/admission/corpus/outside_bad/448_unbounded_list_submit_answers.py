"""Add an endpoint which submits all answers of a quiz at once."""

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

    answers: list[AnswerIn]  # expect: unbounded-list


class SubmissionOut(BaseModel):
    accepted: int


@router.post("/{course_id}/answers", status_code=status.HTTP_201_CREATED, response_model=SubmissionOut)
async def submit_answers(course_id: UUID, submission: SubmissionIn, session: Session) -> SubmissionOut:
    """Submit the answers of a quiz."""
    course = await session.get(Course, course_id)
    if course is None:
        raise HTTPException(status_code=status.HTTP_404_NOT_FOUND, detail="No such course.")
    session.add_all(
        [Answer(course_id=course.id, question=given.question, text=given.text) for given in submission.answers]
    )
    return SubmissionOut(accepted=len(submission.answers))
