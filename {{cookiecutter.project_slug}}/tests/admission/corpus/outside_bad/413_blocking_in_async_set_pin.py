"""Add an endpoint with which I set the PIN of my profile that our kiosks ask for."""

import hashlib
import secrets
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.dependencies import Session
from app.models.accounts import Profile

router = APIRouter(prefix="/v1/profiles", tags=["profiles"])


class PinIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    pin: Annotated[SecretStr, Field(min_length=6, max_length=12)]


def stretch(pin: str, salt: bytes) -> str:
    """Make guessing expensive."""
    return hashlib.scrypt(pin.encode(), salt=salt, n=2**16, r=8, p=2, maxmem=2**28).hex()  # expect: blocking-in-async


@router.put("/{profile_id}/pin", status_code=204, responses={404: {"description": "No such profile of yours."}})
async def set_pin(profile_id: UUID, body: PinIn, session: Session) -> None:
    """Set the PIN."""
    profile = await session.get(Profile, profile_id, with_for_update=True)
    if profile is None:
        raise HTTPException(404, "No such profile.")
    salt = secrets.token_bytes(16)
    profile.pin_salt = salt.hex()
    profile.pin_hash = stretch(body.pin.get_secret_value(), salt)
