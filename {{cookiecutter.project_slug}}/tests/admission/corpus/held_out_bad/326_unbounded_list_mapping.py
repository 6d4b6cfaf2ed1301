"""A mapping of any size."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/attributes", tags=["articles"])

Name = Annotated[str, Field(max_length=20)]


class AttributesIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    values: dict[Name, Name]  # expect: unbounded-list


class AttributesOut(BaseModel):
    count: int


@router.put("/mine")
async def set_attributes(wanted: AttributesIn) -> AttributesOut:
    """Set attributes."""
    return AttributesOut(count=len(wanted.values))
