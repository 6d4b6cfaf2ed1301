"""A validator with an exponential pattern."""

from __future__ import annotations

import re

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, field_validator

router = APIRouter(prefix="/v1/names", tags=["users"])


class NameIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)

    @field_validator("name")
    @classmethod
    def only_words(cls, value: str) -> str:
        if not re.match(r"^([a-zA-Z]+)*$", value):  # expect: catastrophic-regex
            raise ValueError("words only")
        return value


class NameOut(BaseModel):
    length: int


@router.post("")
async def check_name(wanted: NameIn) -> NameOut:
    """Check a name."""
    return NameOut(length=len(wanted.name))
