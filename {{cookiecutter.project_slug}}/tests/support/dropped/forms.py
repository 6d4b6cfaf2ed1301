"""Handlers that take forms, and look at what they get."""

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, UploadFile
from pydantic import BaseModel, Field
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models.base import Base, Owned

router = APIRouter(prefix="/v1/candidates")


class Keepsake(Owned, Base):
    __tablename__ = "candidate_keepsakes"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    count: Mapped[int]


class Asked(BaseModel):
    name: str = Field(max_length=80, min_length=1)
    count: int = Field(ge=1, le=1000)
    tags: list[Annotated[str, Field(max_length=20)]] = Field([], max_length=5)


class Kept(BaseModel):
    id: int
    name: str
    count: int


class Stored(BaseModel):
    title: str
    size: int


@router.post("/sound-forms", status_code=201)
async def sound_form(asked: Annotated[Asked, Form()], session: Session) -> Kept:
    keepsake = Keepsake(name=asked.name, count=asked.count)
    session.add(keepsake)
    await session.flush()
    return Kept(id=keepsake.id, name=keepsake.name, count=keepsake.count)


@router.get("/sound-forms/{form_id}")
async def read_sound_form(form_id: int, session: Session) -> Kept:
    keepsake = (await session.scalars(select(Keepsake).where(Keepsake.id == form_id))).one_or_none()
    if keepsake is None:
        raise HTTPException(404)
    return Kept(id=keepsake.id, name=keepsake.name, count=keepsake.count)


@router.post("/sound-uploads", status_code=201)
async def sound_upload(
    file: UploadFile, title: Annotated[str, Form(max_length=40, min_length=1)], more: list[UploadFile] | None = None
) -> Stored:
    size = 0
    for each in (file, *(more or ())):
        while chunk := await each.read(16_384):
            size += len(chunk)
    return Stored(title=title, size=size)


@router.post("/sound-pictures")
async def sound_picture(file: UploadFile) -> int:
    return len(await file.read())
