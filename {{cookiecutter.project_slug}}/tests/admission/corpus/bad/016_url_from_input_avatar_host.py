"""Loads an avatar from a host of the client's choice, through a declared upstream's client."""

from __future__ import annotations

import httpx2 as http
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/avatars", tags=["users"])


class AvatarIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    host: str = Field(max_length=100)
    name: str = Field(max_length=60)


class AvatarOut(BaseModel):
    size: int


def _address(wanted: AvatarIn) -> str:
    return "https://{}/avatars/{}.png".format(wanted.host, wanted.name)


@router.post("")
async def load_avatar(wanted: AvatarIn) -> AvatarOut:
    """Load an avatar."""
    target = _address(wanted)
    async with http.AsyncClient(timeout=3) as client:
        answer = await client.get(target)  # expect: url-from-input
    return AvatarOut(size=len(answer.content))
