"""Add an endpoint which tells the front end which features are switched on in this environment."""

from __future__ import annotations

import os

from fastapi import APIRouter
from pydantic import BaseModel

from app.dependencies import Caller

router = APIRouter(prefix="/v1/switches", tags=["features"])


class Switches(BaseModel):
    """What is switched on."""

    new_checkout: bool
    dark_mode: bool


@router.get("")
async def switches(caller: Caller) -> Switches:
    """Say what is switched on."""
    return Switches(new_checkout=os.environ.get("NEW_CHECKOUT") == "1", dark_mode=True)  # expect: environment-read
