"""Medical records by a where clause."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base

router = APIRouter(prefix="/v1/records", tags=["records"])


class Record(Base):
    __tablename__ = "records"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    patient_name: Mapped[str] = mapped_column(String(80))
    diagnosis: Mapped[str] = mapped_column(String(200))


class RecordOut(BaseModel):
    diagnosis: str


async def _find(session: Session, record_id: UUID) -> Record | None:
    statement = select(Record).where(Record.id == record_id)
    return await session.scalar(statement)  # expect: not-owned


@router.get("/{record_id}")
async def read_record(record_id: UUID, session: Session) -> RecordOut:
    """Read a record."""
    record = await _find(session, record_id)
    if record is None:
        raise HTTPException(404, "No such record.")
    return RecordOut(diagnosis=record.diagnosis)
