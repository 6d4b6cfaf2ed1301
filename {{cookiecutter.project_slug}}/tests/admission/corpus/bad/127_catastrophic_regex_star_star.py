"""Strips comments by a pattern with stars in stars."""

from __future__ import annotations

import re

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/scripts", tags=["scripts"])

COMMENT = r"(/\*+(.*\**)*\*/)$"


class Script(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source: str = Field(max_length=4000)


class Stripped(BaseModel):
    source: str


def strip(source: str) -> str:
    return re.sub(COMMENT, "", source)  # expect: catastrophic-regex


@router.post("/strip")
async def strip_comments(script: Script) -> Stripped:
    """Strip the comments."""
    return Stripped(source=strip(script.source))
