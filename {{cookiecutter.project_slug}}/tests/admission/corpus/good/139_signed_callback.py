"""The raw body of a callback, compared with its signature in constant time and then read into a model."""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Header, Request
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import CallbackKey

router = APIRouter(prefix="/v1/provider-callbacks", tags=["payments"])


class Event(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reference: str = Field(max_length=64)
    state: Literal["paid", "refused"]


class Taken(BaseModel):
    taken: bool


@router.post("", responses={403: {"description": "The signature is not ours."}})
async def take_event(
    request: Request, key: CallbackKey, x_signature: Annotated[str, Header(max_length=64)]
) -> Taken:
    """Take an event of the provider."""
    body = await request.body()
    expected = hmac.new(key, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, x_signature):
        raise HTTPException(403, "Wrong signature.")
    event = Event.model_validate_json(body)
    return Taken(taken=event.state == "paid")
