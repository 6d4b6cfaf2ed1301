"""A comment of any length."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

router = APIRouter(prefix="/v1/comments", tags=["comments"])


class CommentIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str  # expect: unbounded-string


class CommentOut(BaseModel):
    length: int


@router.post("", status_code=201)
async def comment(wanted: CommentIn) -> CommentOut:
    """Comment."""
    return CommentOut(length=len(wanted.text))
