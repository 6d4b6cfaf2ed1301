"""Chapters of a book: dependencies look a book up once, and the handlers read what they need."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/books", tags=["books"])


class Book(Owned, Base):
    __tablename__ = "books"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    title: Mapped[str] = mapped_column(String(200))


class Chapter(Owned, Base):
    __tablename__ = "chapters"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    book_id: Mapped[UUID] = mapped_column(ForeignKey("books.id"), index=True)
    number: Mapped[int]
    heading: Mapped[str] = mapped_column(String(200))


class ChapterOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    number: int
    heading: str


class Contents(BaseModel):
    title: str
    chapters: list[ChapterOut]
    next: int | None


class Window:
    """Which chapters are asked for."""

    def __init__(
        self,
        after: Annotated[int, Query(ge=0, le=10_000)] = 0,
        limit: Annotated[int, Query(ge=1, le=100)] = 30,
    ) -> None:
        self.after = after
        self.limit = limit


async def book_of(book_id: UUID, session: Session) -> Book:
    """Return the book of the path."""
    if (book := await session.get(Book, book_id)) is None:
        raise HTTPException(404, "No such book.")
    return book


async def chapters_of(
    book: Annotated[Book, Depends(book_of)], window: Annotated[Window, Depends()], session: Session
) -> list[Chapter]:
    """Return the chapters of the book that are asked for, and one more."""
    wanted = (
        select(Chapter)
        .where(Chapter.book_id == book.id, Chapter.number > window.after)
        .order_by(Chapter.number)
        .limit(window.limit + 1)
    )
    return list(await session.scalars(wanted))


@router.get("/{book_id}/contents", responses={404: {"description": "No such book of yours."}})
async def read_contents(
    book: Annotated[Book, Depends(book_of)],
    chapters: Annotated[list[Chapter], Depends(chapters_of)],
    window: Annotated[Window, Depends()],
) -> Contents:
    """Read the table of contents."""
    shown = [ChapterOut.model_validate(chapter) for chapter in chapters[: window.limit]]
    more = len(chapters) > window.limit
    return Contents(title=book.title, chapters=shown, next=shown[-1].number if more else None)
