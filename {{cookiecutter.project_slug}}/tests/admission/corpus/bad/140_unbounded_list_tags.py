"""Any number of tags."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/tags", tags=["tags"])


class TagsIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tags: list[Annotated[str, Field(max_length=20)]]  # expect: unbounded-list


class TagsOut(BaseModel):
    count: int


@router.put("/mine")
async def set_tags(wanted: TagsIn) -> TagsOut:
    """Set the tags."""
    return TagsOut(count=len(set(wanted.tags)))
