"""Add an endpoint which tells how long a poll is still open."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel

from app.dependencies import Session
from app.models.elections import Poll

router = APIRouter(prefix="/v1/polls", tags=["elections"])


class Remaining(BaseModel):
    """How long people can vote."""

    poll_id: int
    seconds: int


@router.get("/{poll_id}/remaining", responses={404: {"description": "No such poll."}})
async def remaining(poll_id: Annotated[int, Path(ge=1, le=2_147_483_647)], session: Session) -> Remaining:
    """Say how long a poll is open."""
    poll = await session.get(Poll, poll_id)
    if poll is None:
        raise HTTPException(404, "No such poll.")
    seconds = (poll.closes_at.replace(tzinfo=None) - datetime.utcnow()).total_seconds()  # expect: naive-datetime
    return Remaining(poll_id=poll.id, seconds=max(0, int(seconds)))
