"""A price column that floats."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy import Float
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/tariffs", tags=["prices"])


class Tariff(Owned, Base):
    __tablename__ = "tariffs"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    monthly_price: Mapped[float] = mapped_column(Float)  # expect: float-money


class TariffOut(BaseModel):
    id: UUID


@router.get("/{tariff_id}")
async def read_tariff(tariff_id: UUID, session: Session) -> TariffOut:
    """Read a tariff."""
    tariff = await session.get(Tariff, tariff_id)
    if tariff is None:
        raise HTTPException(404, "No such tariff.")
    return TariffOut(id=tariff.id)
