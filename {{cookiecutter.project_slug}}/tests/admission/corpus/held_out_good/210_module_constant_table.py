"""A table of the module that is read only."""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/rates", tags=["prices"])

RATES = MappingProxyType({"standard": 19, "reduced": 7})


class Rate(BaseModel):
    percent: int


@router.get("/{kind}")
async def rate(kind: Literal["standard", "reduced"]) -> Rate:
    """Return a rate."""
    return Rate(percent=RATES[kind])
