"""Add an endpoint which enrols me in a course while there are seats left."""

from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.dependencies import Session
from app.models.courses import Course, Enrolment

router = APIRouter(prefix="/v1/enrolments", tags=["courses"])


class EnrolmentOut(BaseModel):
    id: UUID
    course_id: UUID


class Seats:
    """The seats of one course."""

    def __init__(self, session: AsyncSession, course: Course) -> None:
        self.session = session
        self.course = course

    def free(self) -> bool:
        return self.course.seats_left > 0

    async def take(self) -> None:
        remaining = self.course.seats_left - 1
        await self.session.execute(update(Course).where(Course.id == self.course.id).values(seats_left=remaining))  # expect: check-then-act


@router.put(
    "/{course_id}",
    responses={404: {"description": "No such course."}, 409: {"description": "Full, or enrolled already."}},
)
async def enrol(course_id: UUID, session: Session) -> EnrolmentOut:
    """Enrol in a course."""
    course = await session.get(Course, course_id)  # or: check-then-act
    if course is None:
        raise HTTPException(404, "No such course.")
    seats = Seats(session, course)
    if not seats.free():
        raise HTTPException(409, "The course is full.")
    enrolment = Enrolment(course_id=course_id)
    try:
        async with session.begin_nested():
            session.add(enrolment)
    except IntegrityError:
        raise HTTPException(409, "You are enrolled already.") from None
    await seats.take()
    return EnrolmentOut(id=enrolment.id, course_id=course_id)
