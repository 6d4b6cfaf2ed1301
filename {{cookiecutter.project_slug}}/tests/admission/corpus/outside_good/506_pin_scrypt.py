"""Add an endpoint where a reader changes the PIN of the library card."""

import asyncio
import hashlib
import secrets
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.dependencies import Session
from app.models.libraries import ReaderCard

router = APIRouter(prefix="/v1/cards", tags=["library"])
log = structlog.get_logger(__name__)


class PinIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    pin: Annotated[SecretStr, Field(min_length=6, max_length=12)]


class CardOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    changed_at: datetime


def derive(pin: str, salt: bytes) -> bytes:
    return hashlib.scrypt(pin.encode(), salt=salt, n=2**14, r=8, p=1, maxmem=64 * 1024 * 1024)


@router.put("/{card_id}/pin", responses={404: {"description": "No such card of yours."}})
async def change_pin(card_id: UUID, wanted: PinIn, session: Session) -> CardOut:
    """Change a PIN. The slow hash is computed in a thread, and before the row is locked."""
    salt = secrets.token_bytes(16)
    digest = await asyncio.to_thread(derive, wanted.pin.get_secret_value(), salt)
    card = await session.get(ReaderCard, card_id, with_for_update=True)
    if card is None:
        raise HTTPException(404, "No such card.")
    card.pin_salt, card.pin_digest, card.changed_at = salt, digest, datetime.now(UTC)
    log.info("card_pin_changed", card_id=str(card.id))
    return CardOut.model_validate(card)
