"""Presence in a class attribute."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from app.dependencies import Caller

router = APIRouter(prefix="/v1/presence", tags=["users"])


class Presence:
    seen: set[str] = set()

    @classmethod
    def note(cls, subject: str) -> int:
        cls.seen.add(subject)  # expect: module-state
        return len(cls.seen)


class Online(BaseModel):
    count: int


@router.post("")
async def here(caller: Caller) -> Online:
    """Say that you are here."""
    return Online(count=Presence.note(caller.subject))
