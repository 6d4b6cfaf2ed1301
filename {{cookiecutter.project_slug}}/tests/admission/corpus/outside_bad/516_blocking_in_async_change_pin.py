"""Add an endpoint where a reader changes the PIN of the library card."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime
from uuid import UUID

import structlog
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.dependencies import Session
from app.models.libraries import ReaderCard

router = APIRouter(prefix="/v1/cards", tags=["library"])
log = structlog.get_logger()


class PinIn(BaseModel):
    """The new PIN."""

    model_config = ConfigDict(extra="forbid")

    pin: SecretStr = Field(min_length=6, max_length=12)


class CardOut(BaseModel):
    """A card, without anything of its PIN."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    changed_at: datetime


class PinHasher:
    """Derives what is stored of a PIN."""

    rounds = 600_000

    def derive(self, pin: str) -> tuple[bytes, bytes]:
        """Return salt and digest."""
        salt = secrets.token_bytes(16)
        return salt, hashlib.pbkdf2_hmac("sha256", pin.encode(), salt, self.rounds)  # or: blocking-in-async


hasher = PinHasher()


@router.put("/{card_id}/pin", responses={404: {"description": "No such card of yours."}})
async def change_pin(card_id: UUID, wanted: PinIn, session: Session) -> CardOut:
    """Change a PIN."""
    card = await session.get(ReaderCard, card_id, with_for_update=True)
    if card is None:
        raise HTTPException(404, "No such card.")
    card.pin_salt, card.pin_digest = hasher.derive(wanted.pin.get_secret_value())  # expect: blocking-in-async
    card.changed_at = datetime.now(UTC)
    await session.flush()
    log.info("card_pin_changed", card_id=str(card.id))
    return CardOut.model_validate(card)
