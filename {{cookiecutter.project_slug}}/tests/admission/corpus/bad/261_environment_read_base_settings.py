"""Settings of its own."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel
from pydantic_settings import BaseSettings

router = APIRouter(prefix="/v1/branding", tags=["branding"])


class Branding(BaseSettings):  # expect: environment-read
    colour: str = "navy"


class BrandingOut(BaseModel):
    colour: str


@router.get("")
async def branding() -> BrandingOut:
    """Return the colour."""
    return BrandingOut(colour=Branding().colour)
