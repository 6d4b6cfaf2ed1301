"""Add an endpoint which validates a list of tags typed by the user and returns them one by one."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Caller

router = APIRouter(prefix="/v1/tags", tags=["tags"])

TAG_LIST = re.compile(r"^(\s*[\w-]+\s*,?)+$")  # expect: catastrophic-regex


class TagsIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=500)]


class TagsOut(BaseModel):
    tags: list[str]


@router.post("/split", responses={422: {"description": "Not a list of tags."}})
async def split_tags(body: TagsIn, caller: Caller) -> TagsOut:
    """Split what was typed at its commas."""
    if TAG_LIST.match(body.text) is None:
        raise HTTPException(status_code=422, detail="This is not a list of tags.")
    return TagsOut(tags=[tag.strip() for tag in body.text.split(",") if tag.strip()])
