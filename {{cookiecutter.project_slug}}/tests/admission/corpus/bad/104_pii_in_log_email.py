"""Logs the address of who subscribes."""

from __future__ import annotations

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/newsletter", tags=["newsletter"])

log = structlog.get_logger()


class Subscription(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")


class Subscribed(BaseModel):
    subscribed: bool


@router.post("", status_code=201)
async def subscribe(wanted: Subscription) -> Subscribed:
    """Subscribe."""
    log.info("subscribed", email=wanted.email)  # expect: pii-in-log
    return Subscribed(subscribed=True)
