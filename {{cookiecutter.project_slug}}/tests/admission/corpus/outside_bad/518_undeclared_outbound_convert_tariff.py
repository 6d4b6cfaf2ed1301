"""Add an endpoint which converts a price of the claims tariff into another currency with today's rate."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import httpx
from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel

from app.dependencies import Look
from app.models.claims import Tariff

router = APIRouter(prefix="/v1/tariffs", tags=["claims"])

CENT = Decimal("0.01")


class Converted(BaseModel):
    """A tariff in another currency."""

    code: str
    currency: str
    monthly: Decimal


@router.get("/{code}/converted", responses={404: {"description": "No such tariff."}})
async def convert_tariff(
    code: Annotated[str, Path(pattern=r"^[A-Z0-9-]{1,20}$")],
    look: Look,
    currency: Annotated[Literal["USD", "GBP", "CHF"], Query()] = "USD",
) -> Converted:
    """Convert a tariff."""
    async with look() as glance:
        tariff = await glance.get(Tariff, code)
    if tariff is None:
        raise HTTPException(404, "No such tariff.")
    async with httpx.AsyncClient(timeout=2.0) as client:  # expect: undeclared-outbound
        answer = await client.get("https://api.frankfurter.dev/v1/latest", params={"base": "EUR", "symbols": currency})
    rate = Decimal(str(answer.json()["rates"][currency]))
    return Converted(code=code, currency=currency, monthly=(tariff.monthly * rate).quantize(CENT))
