"""The answer inherits the internal fields."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/staff", tags=["staff"])


class StaffBase(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str
    hashed_password: str  # expect: leaking-response


class StaffOut(StaffBase):
    id: UUID


class Staff(Owned, Base):
    __tablename__ = "staff"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(60))
    hashed_password: Mapped[str] = mapped_column(String(200))


@router.get("/{staff_id}")
async def read_staff(staff_id: UUID, session: Session) -> StaffOut:
    """Read somebody of the staff."""
    staff = await session.get(Staff, staff_id)
    if staff is None:
        raise HTTPException(404, "No such member of the staff.")
    return StaffOut.model_validate(staff)
