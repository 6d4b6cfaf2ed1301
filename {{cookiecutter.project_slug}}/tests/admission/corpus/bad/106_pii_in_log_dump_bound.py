"""Binds the dumped body to the logger."""

from __future__ import annotations

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/checkouts", tags=["orders"])

log = structlog.get_logger()


class Checkout(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: str = Field(max_length=64)
    card_number: str = Field(max_length=19, pattern=r"^\d{12,19}$")
    phone: str = Field(max_length=20)


class CheckedOut(BaseModel):
    done: bool


@router.post("", status_code=201)
async def check_out(wanted: Checkout) -> CheckedOut:
    """Check out."""
    bound = log.bind(sku=wanted.sku)
    bound.warning("checkout_started", payload=wanted.model_dump())  # expect: pii-in-log
    return CheckedOut(done=True)
