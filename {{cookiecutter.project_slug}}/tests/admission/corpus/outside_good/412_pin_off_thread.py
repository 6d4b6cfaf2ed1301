"""Add an endpoint with which I set the PIN of my profile."""

import asyncio
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
    """Make guessing expensive: a quarter of a second, 64 MiB."""
    return hashlib.scrypt(pin.encode(), salt=salt, n=2**16, r=8, p=1, maxmem=2**27).hex()


@router.put("/{profile_id}/pin", status_code=204, responses={404: {"description": "No such profile of yours."}})
async def set_pin(profile_id: UUID, body: PinIn, session: Session) -> None:
    """Set the PIN. It is stretched in a thread, before the profile is locked."""
    salt = secrets.token_bytes(16)
    pin_hash = await asyncio.to_thread(stretch, body.pin.get_secret_value(), salt)
    profile = await session.get(Profile, profile_id, with_for_update=True)
    if profile is None:
        raise HTTPException(status_code=404, detail="No such profile.")
    profile.pin_salt = salt.hex()
    profile.pin_hash = pin_hash
