"""Many rows by one statement."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/measurements", tags=["devices"])


class Measurement(Owned, Base):
    __tablename__ = "measurements"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    milli: Mapped[int]


class MeasurementsIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    milli: list[Annotated[int, Field(ge=-100_000, le=100_000)]] = Field(min_length=1, max_length=100)


class MeasurementsOut(BaseModel):
    stored: int


@router.post("", status_code=201)
async def store(wanted: MeasurementsIn, session: Session) -> MeasurementsOut:
    """Store measurements."""
    session.add_all([Measurement(milli=each) for each in wanted.milli])
    await session.flush()
    return MeasurementsOut(stored=len(wanted.milli))
