"""Add an endpoint which enrols me in a course, once, while there are seats."""

from __future__ import annotations

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


async def take_seat(session: AsyncSession, course_id: UUID) -> bool:
    """Take a seat, if there is one; the database counts."""
    taken = await session.scalar(
        update(Course)
        .where(Course.id == course_id, Course.seats_left > 0)
        .values(seats_left=Course.seats_left - 1)
        .returning(Course.id)
    )
    return taken is not None


@router.put("/{course_id}", responses={409: {"description": "Full, or enrolled already."}})
async def enrol(course_id: UUID, session: Session) -> EnrolmentOut:
    """Enrol in a course; a refusal gives the seat back, since nothing is committed."""
    if not await take_seat(session, course_id):
        raise HTTPException(409, "There is no seat in this course.")
    enrolment = Enrolment(course_id=course_id)
    try:
        async with session.begin_nested():
            session.add(enrolment)
    except IntegrityError:
        raise HTTPException(409, "You are enrolled already.") from None
    return EnrolmentOut(id=enrolment.id, course_id=course_id)
