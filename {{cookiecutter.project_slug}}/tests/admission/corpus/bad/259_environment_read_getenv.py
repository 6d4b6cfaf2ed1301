"""Reads a feature flag from the environment."""

from __future__ import annotations

import os

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/features", tags=["features"])


class Feature(BaseModel):
    enabled: bool


@router.get("/beta")
async def beta() -> Feature:
    """Say whether the beta is on."""
    return Feature(enabled=os.getenv("BETA", "0") == "1")  # expect: environment-read
