"""Add an endpoint which estimates how many language-model tokens my note would take, so that I can shorten it."""

from __future__ import annotations

import re
from uuid import UUID

import structlog
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Session
from app.models.documents import Note

router = APIRouter(prefix="/v1/notes", tags=["notes"])
log = structlog.get_logger(__name__)

TOKEN = re.compile(r"[A-Za-z]{1,6}|\d{1,3}|[^\sA-Za-z\d]")
TOKEN_LIMIT = 1000


class TokenUsage(BaseModel):
    """How many tokens, about, and whether that is too many."""

    tokens: int
    too_long: bool


@router.get("/{note_id}/token-usage", responses={404: {"description": "No such note of yours."}})
async def token_usage(note_id: UUID, session: Session) -> TokenUsage:
    """Estimate."""
    note = await session.get(Note, note_id)
    if note is None:
        raise HTTPException(404, "No such note.")
    tokens = sum(1 for _ in TOKEN.finditer(note.text))
    log.info("tokens_estimated", note_id=str(note_id), token_count=tokens)
    return TokenUsage(tokens=tokens, too_long=tokens > TOKEN_LIMIT)
