"""Add an endpoint which restores the saved state of a game from what the client kept."""

from __future__ import annotations

import base64
import pickle
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/saves", tags=["games"])


class SaveIn(BaseModel):
    """A save as the client kept it."""

    model_config = ConfigDict(extra="forbid")

    blob: Annotated[str, Field(max_length=20_000, pattern=r"^[A-Za-z0-9+/]+={0,2}$")]


class SaveOut(BaseModel):
    """Where the player stands."""

    level: int
    lives: int


@router.post("/restore")
async def restore(save: SaveIn) -> SaveOut:
    """Restore a save."""
    state = pickle.loads(base64.b64decode(save.blob))  # expect: unsafe-deserialisation
    return SaveOut(level=state["level"], lives=state["lives"])
