"""Commits by itself."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/bookmarks", tags=["bookmarks"])


class Bookmark(Owned, Base):
    __tablename__ = "bookmarks"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    page: Mapped[UUID]


class BookmarkOut(BaseModel):
    id: UUID


@router.put("/{page}")
async def bookmark(page: UUID, session: Session) -> BookmarkOut:
    """Remember a page."""
    found = Bookmark(page=page)
    session.add(found)
    await session.commit()  # expect: commit-in-handler
    return BookmarkOut(id=found.id)
