"""Writes a row and leaves the message to the outbox."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Outbox, Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/sign-ups", tags=["courses"])


class SignUp(Owned, Base):
    __tablename__ = "sign_ups"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    course: Mapped[UUID]


class SignUpIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    course: UUID


class SignUpOut(BaseModel):
    id: UUID


@router.post("", status_code=201)
async def sign_up(wanted: SignUpIn, session: Session, outbox: Outbox) -> SignUpOut:
    """Sign up for a course."""
    made = SignUp(course=wanted.course)
    session.add(made)
    await session.flush()
    await outbox.add("course.signed_up", {"id": str(made.id)})
    return SignUpOut(id=made.id)
