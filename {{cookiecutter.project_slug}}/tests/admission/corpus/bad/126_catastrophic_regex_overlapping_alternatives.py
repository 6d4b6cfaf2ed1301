"""An address pattern whose alternatives overlap."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/hosts", tags=["network"])


class Host(BaseModel):
    valid: bool


@router.get("/check")
async def check_host(name: Annotated[str, Query(max_length=300)]) -> Host:
    """Say whether this is the name of a host."""
    return Host(valid=bool(re.fullmatch(r"([a-z0-9]|[a-z0-9-]*[a-z0-9])*\.example", name)))  # expect: catastrophic-regex
