"""A key is looked up with `in`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/meters", tags=["devices"])


class Meter(Owned, Base):
    __tablename__ = "meters"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    api_key: Mapped[str] = mapped_column(String(40))
    old_api_key: Mapped[str] = mapped_column(String(40))


class MeterOut(BaseModel):
    ok: bool


@router.post("/{meter_id}")
async def report(meter_id: UUID, key: Annotated[str, Query(max_length=40)], session: Session) -> MeterOut:
    """Report."""
    meter = await session.get(Meter, meter_id)
    if meter is None or key not in (meter.api_key, meter.old_api_key):  # expect: secret-compare
        raise HTTPException(404, "No such meter.")
    return MeterOut(ok=True)
