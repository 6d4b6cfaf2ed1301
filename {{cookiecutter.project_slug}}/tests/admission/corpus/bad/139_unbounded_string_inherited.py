"""A field without a bound in a base class."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/messages", tags=["messages"])


class Titled(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str | None = None  # expect: unbounded-string


class MessageIn(Titled):
    body: str = Field(max_length=1000)


class MessageOut(BaseModel):
    length: int


@router.post("", status_code=201)
async def send(wanted: MessageIn) -> MessageOut:
    """Send a message."""
    return MessageOut(length=len(wanted.body))
