"""Writes an audit row, and says nothing if that fails."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/views", tags=["views"])


class View(Owned, Base):
    __tablename__ = "views"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    page: Mapped[UUID]


class ViewIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    page: UUID


class Noted(BaseModel):
    noted: bool


@router.post("", status_code=201)
async def note_view(wanted: ViewIn, session: Session) -> Noted:
    """Note that a page was viewed."""
    try:
        session.add(View(page=wanted.page))
        await session.flush()
    except Exception:  # expect: swallowed-exception
        pass
    return Noted(noted=True)
