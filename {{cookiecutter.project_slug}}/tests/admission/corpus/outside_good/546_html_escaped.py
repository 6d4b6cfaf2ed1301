"""Add an endpoint which marks the words of a search in an episode's notes, ready to be put into a page."""

from __future__ import annotations

import html
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel

from app.dependencies import Session
from app.models.podcasts import Episode

router = APIRouter(prefix="/v1/episodes", tags=["podcasts"])

SHOWN = 1000


class Marked(BaseModel):
    """Notes with marks; everything but the marks is escaped."""

    episode_id: int
    notes_html: str


def mark(text: str, word: str) -> str:
    """Escape what is between the marks, and what is in them, so that no markup comes from either."""
    return f"<mark>{html.escape(word)}</mark>".join(html.escape(part) for part in text.split(word))


@router.get("/{episode_id}/marked", responses={404: {"description": "No such episode."}})
async def marked_notes(
    episode_id: Annotated[int, Path(ge=1, le=2_147_483_647)],
    session: Session,
    word: Annotated[str, Query(pattern=r"^[A-Za-z0-9]{3,40}$")],
) -> Marked:
    """Mark a word."""
    episode = await session.get(Episode, episode_id)
    if episode is None:
        raise HTTPException(404, "No such episode.")
    return Marked(episode_id=episode.id, notes_html=mark(episode.notes[:SHOWN], word))
