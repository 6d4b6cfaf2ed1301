"""Handlers of what is everybody's, and holds what is somebody's: shelves on which each caller has marks of its own."""

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String, UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models.base import Base, Owned

router = APIRouter(prefix="/v1/candidates")


class Shelf(Base):
    __tablename__ = "candidate_shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))


class Mark(Owned, Base):
    __tablename__ = "candidate_marks"
    __table_args__ = (UniqueConstraint("owner_id", "shelf_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int]
    text: Mapped[str] = mapped_column(String(80))


class Named(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=80)


class Text(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=80)


class Kept(BaseModel):
    id: int


async def shelf_of(session: Session, shelf_id: int) -> Shelf:
    shelf = await session.get(Shelf, shelf_id) if abs(shelf_id) < 2**31 else None
    if shelf is None:
        raise HTTPException(404)
    return shelf


@router.post("/shelves", status_code=201)
async def make_shelf(named: Named, session: Session) -> Kept:
    shelf = Shelf(name=named.name)
    session.add(shelf)
    await session.flush()
    return Kept(id=shelf.id)


@router.put("/shelves/{shelf_id}/mark")
async def put_mark(shelf_id: int, text: Text, session: Session) -> Kept:
    shelf = await shelf_of(session, shelf_id)
    mark = (await session.scalars(select(Mark).where(Mark.shelf_id == shelf.id))).one_or_none()
    if mark is None:
        mark = Mark(shelf_id=shelf.id, text=text.text)
        session.add(mark)
    mark.text = text.text
    await session.flush()
    return Kept(id=mark.id)


@router.get("/shelves/{shelf_id}/marks")
async def read_marks(shelf_id: int, session: Session) -> list[Kept]:
    shelf = await shelf_of(session, shelf_id)
    marks = await session.scalars(select(Mark).where(Mark.shelf_id == shelf.id).limit(20))
    return [Kept(id=mark.id) for mark in marks]


@router.delete("/shelves/{shelf_id}/marks", status_code=204)
async def take_marks(shelf_id: int, session: Session) -> None:
    shelf = await shelf_of(session, shelf_id)
    for mark in await session.scalars(select(Mark).where(Mark.shelf_id == shelf.id).limit(20)):
        await session.delete(mark)
