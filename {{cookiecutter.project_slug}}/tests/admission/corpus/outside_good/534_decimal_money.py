"""Add an endpoint which estimates the yearly bill of a household's meter."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

from app.dependencies import Session
from app.models.energy import EnergyTariff, Meter

router = APIRouter(prefix="/v1/meters", tags=["energy"])

CENT = Decimal("0.01")
VAT = Decimal("1.19")
MONTHS = 12


class Estimate(BaseModel):
    """What a year costs."""

    kwh: int
    net: Decimal
    gross: Decimal


@router.get("/{meter_id}/estimate", responses={404: {"description": "No such meter of yours, or no tariff."}})
async def estimate(
    meter_id: UUID, session: Session, kwh: Annotated[int, Query(ge=0, le=1_000_000)] = 3500
) -> Estimate:
    """Estimate a bill."""
    meter = await session.get(Meter, meter_id)
    if meter is None:
        raise HTTPException(404, "No such meter.")
    tariff = await session.get(EnergyTariff, meter.tariff)
    if tariff is None:
        raise HTTPException(404, "No such tariff.")
    net = (tariff.per_kwh * kwh + tariff.standing * MONTHS).quantize(CENT, ROUND_HALF_UP)
    return Estimate(kwh=kwh, net=net, gross=(net * VAT).quantize(CENT, ROUND_HALF_UP))
