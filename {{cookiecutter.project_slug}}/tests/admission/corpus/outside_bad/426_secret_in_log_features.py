"""Add an endpoint which tells a client which API version and features it may use, and log odd clients."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Request
from pydantic import BaseModel

router = APIRouter(prefix="/v1/features", tags=["features"])
log = structlog.get_logger(__name__)


class Features(BaseModel):
    """What this client may use."""

    version: int
    beta: bool


def note_client(request: Request, known: bool) -> None:
    if not known:
        log.warning("unknown_client", path=request.url.path, headers=dict(request.headers))  # expect: secret-in-log


@router.get("")
async def features(request: Request, x_client: Annotated[str, Header(max_length=40)] = "unknown") -> Features:
    """Say what can be used."""
    known = x_client in {"web", "ios", "android"}
    note_client(request, known)
    return Features(version=3, beta=known and x_client == "web")
