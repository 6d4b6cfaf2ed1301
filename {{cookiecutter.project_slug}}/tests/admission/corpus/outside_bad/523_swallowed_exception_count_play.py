"""Add an endpoint which counts a play of a podcast episode; it must never fail for the player."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel
from sqlalchemy import update

from app.dependencies import Session
from app.models.podcasts import Episode

router = APIRouter(prefix="/v1/episodes", tags=["podcasts"])


class Counted(BaseModel):
    """Whether it was counted."""

    episode_id: int
    counted: bool = True


@router.post("/{episode_id}/plays")
async def count_play(episode_id: Annotated[int, Path(ge=1, le=2_147_483_647)], session: Session) -> Counted:
    """Count a play."""
    try:
        await session.execute(update(Episode).where(Episode.id == episode_id).values(plays=Episode.plays + 1))
    except Exception:  # expect: swallowed-exception
        pass
    return Counted(episode_id=episode_id)
