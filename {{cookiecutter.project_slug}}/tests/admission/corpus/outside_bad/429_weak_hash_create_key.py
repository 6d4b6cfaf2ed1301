"""Add an endpoint which creates an API key for a script of mine; store only a hash of it."""

import hashlib
import secrets
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.accounts import ApiKey

router = APIRouter(prefix="/v1/api-keys", tags=["keys"])


class KeyIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    label: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00]*$")]


class KeyOut(BaseModel):
    """The key: shown once, never again."""

    id: UUID
    label: str
    key: str


@router.post("", status_code=201)
async def create_key(body: KeyIn, session: Session) -> KeyOut:
    """Make a key."""
    key = "ak_" + secrets.token_urlsafe(32)
    row = ApiKey(label=body.label, key_hash=hashlib.md5(key.encode()).hexdigest())  # expect: weak-hash
    session.add(row)
    await session.flush()
    return KeyOut(id=row.id, label=row.label, key=key)
