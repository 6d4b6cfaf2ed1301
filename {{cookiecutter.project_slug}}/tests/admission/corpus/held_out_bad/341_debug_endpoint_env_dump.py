"""Returns the configuration of the process."""

from __future__ import annotations

import os

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/system", tags=["system"])


class Variables(BaseModel):
    names: list[str]


@router.get("/_env")  # expect: debug-endpoint
async def variables() -> Variables:
    """List the variables of the environment."""
    return Variables(names=sorted(os.environ))
