"""Reads a number, adds one, writes it back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base

router = APIRouter(prefix="/v1/seats", tags=["bookings"])


class Course(Base):
    __tablename__ = "courses"

    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    taken: Mapped[int]
    seats: Mapped[int]


class SeatOut(BaseModel):
    taken: int


async def _take(session: Session, code: str) -> int:
    course = await session.scalar(select(Course).where(Course.code == code))
    if course is None or course.taken >= course.seats:
        raise HTTPException(409, "The course is full.")
    course.taken = course.taken + 1  # expect: check-then-act
    return course.taken


@router.post("/{code}", status_code=201)
async def take_seat(code: Annotated[str, Path(max_length=20)], session: Session) -> SeatOut:
    """Take a seat."""
    return SeatOut(taken=await _take(session, code))
