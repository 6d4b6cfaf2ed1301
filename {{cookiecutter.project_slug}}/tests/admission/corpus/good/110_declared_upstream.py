"""Charges through the declared upstream; what fails there is the service's to say."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Payments

router = APIRouter(prefix="/v1/top-ups", tags=["payments"])


class TopUpIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cents: int = Field(ge=100, le=50_000)


class TopUpOut(BaseModel):
    reference: str


@router.post("", status_code=201)
async def top_up(wanted: TopUpIn, payments: Payments) -> TopUpOut:
    """Charge, and say under which reference."""
    answer = await payments.post("/charges", json={"cents": wanted.cents})
    return TopUpOut(reference=str(answer.json()["reference"])[:64])
