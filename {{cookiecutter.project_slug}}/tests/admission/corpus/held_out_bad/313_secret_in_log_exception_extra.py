"""Logs the bearer token in an extra of the standard logger."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, Header
from pydantic import BaseModel

router = APIRouter(prefix="/v1/bridges", tags=["bridges"])

logger = logging.getLogger("bridges")


class Bridge(BaseModel):
    open: bool


@router.post("")
async def bridge(authorization: Annotated[str, Header(max_length=4000)]) -> Bridge:
    """Open a bridge."""
    logger.info("opened", extra={"auth": authorization})  # expect: secret-in-log
    return Bridge(open=True)
