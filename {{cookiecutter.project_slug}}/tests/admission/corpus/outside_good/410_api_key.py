"""Add endpoints to create an API key, shown once, and to revoke it."""

from __future__ import annotations

import hashlib
import secrets
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.accounts import ApiKey

router = APIRouter(prefix="/v1/api-keys", tags=["keys"])
log = structlog.get_logger(__name__)


class KeyIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    label: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00]*$")]


class KeyCreated(BaseModel):
    """The key itself: only now, only here."""

    id: UUID
    label: str
    key: str


class KeyOut(BaseModel):
    id: UUID
    label: str
    revoked: bool


@router.post("", status_code=201)
async def create_key(body: KeyIn, session: Session) -> KeyCreated:
    """Create a key; a digest of its 256 random bits is all that stays."""
    key = f"ak_{secrets.token_urlsafe(32)}"
    row = ApiKey(label=body.label, key_hash=hashlib.sha256(key.encode()).hexdigest())
    session.add(row)
    await session.flush()
    log.info("api_key_created", key_id=str(row.id))
    return KeyCreated(id=row.id, label=row.label, key=key)


@router.post("/{key_id}/revoke", responses={404: {"description": "No such key of yours."}})
async def revoke_key(key_id: UUID, session: Session) -> KeyOut:
    """Revoke a key, for good."""
    row = await session.get(ApiKey, key_id, with_for_update=True)
    if row is None:
        raise HTTPException(404, "No such key.")
    row.revoked = True
    return KeyOut(id=row.id, label=row.label, revoked=row.revoked)
