"""Add an endpoint which lists courses, for the widget on our partners' pages."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.courses import Course

router = APIRouter(prefix="/v1/course-widget", tags=["courses"])


class CourseOut(BaseModel):
    """A course; ``fee`` in cents."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    level: str
    fee: int


class Courses(BaseModel):
    items: list[CourseOut]


async def embeddable(request: Request, response: Response) -> None:
    """Let the partners' pages read the answer."""
    origin = request.headers.get("origin")
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin  # expect: loosened-headers
        response.headers["Access-Control-Allow-Credentials"] = "true"  # or: loosened-headers
        response.headers["Vary"] = "Origin"


@router.get("", dependencies=[Depends(embeddable)])
async def courses(
    session: Session, after: UUID | None = None, limit: Annotated[int, Query(ge=1, le=50)] = 10
) -> Courses:
    """List courses that have seats."""
    query = select(Course).where(Course.seats_left > 0).order_by(Course.id).limit(limit)
    if after is not None:
        query = query.where(Course.id > after)
    rows = (await session.scalars(query)).all()
    return Courses(items=[CourseOut.model_validate(row) for row in rows])
