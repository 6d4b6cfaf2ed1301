"""Licence plates: constant linear expressions on a short bounded field."""

from __future__ import annotations

import re
from typing import Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/plates", tags=["vehicles"])

PLATES: dict[Literal["de", "nl", "fr"], re.Pattern[str]] = {
    "de": re.compile(r"([A-ZÄÖÜ]{1,3})-([A-Z]{1,2}) ([1-9][0-9]{0,3})"),
    "nl": re.compile(r"([A-Z]{2})-([0-9]{3})-([A-Z])"),
    "fr": re.compile(r"([A-Z]{2})-([0-9]{3})-([A-Z]{2})"),
}
SPACES = re.compile(r" {2,}")


class PlateIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    country: Literal["de", "nl", "fr"]
    text: str = Field(min_length=4, max_length=16)


class PlateOut(BaseModel):
    country: Literal["de", "nl", "fr"]
    parts: list[str]


@router.post("/parse", responses={422: {"description": "Not a plate of that country."}})
async def parse_plate(plate: PlateIn) -> PlateOut:
    """Take a plate apart."""
    found = PLATES[plate.country].fullmatch(SPACES.sub(" ", plate.text.upper()))
    if found is None:
        raise HTTPException(422, "Not a plate of that country.")
    return PlateOut(country=plate.country, parts=list(found.groups()))
