"""Handlers that may seldom be called: one once a day, and two that everybody calls, from whatever address."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models.base import Base, Owned

router = APIRouter(prefix="/v1/candidates")


class Report(Owned, Base):
    __tablename__ = "candidate_reports"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(80))


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str = Field(max_length=80, min_length=1)
    pages: int = Field(ge=1, le=9)


class Kept(BaseModel):
    id: int
    title: str


class Said(BaseModel):
    title: str


@router.post("/reports", status_code=201)
async def make_report(asked: Asked, session: Session) -> Kept:
    report = Report(title=asked.title)
    session.add(report)
    await session.flush()
    return Kept(id=report.id, title=report.title)


@router.post("/greetings")
async def greet(asked: Asked) -> Said:
    return Said(title=asked.title)


@router.get("/greetings/{number}")
async def read_greeting(number: Annotated[int, Path(ge=1, le=9)]) -> Said:
    return Said(title=f"number {number}")
