"""Add an endpoint which checks the reference lists people paste into their job applications."""

import re
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/reference-lists", tags=["applications"])

NAMES = re.compile(r"^([A-Za-z]+[ ,;]*)+$")  # expect: catastrophic-regex
SEPARATOR = re.compile(r"[,;]")


class ReferencesIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=4000)]


class ReferencesOut(BaseModel):
    valid: bool
    people: int


def _looks_right(text: str) -> bool:
    return NAMES.match(text) is not None


@router.post("/check")
async def check_references(wanted: ReferencesIn) -> ReferencesOut:
    """Check a list of referees."""
    if not _looks_right(wanted.text):
        return ReferencesOut(valid=False, people=0)
    return ReferencesOut(valid=True, people=len([part for part in SEPARATOR.split(wanted.text) if part.strip()]))
