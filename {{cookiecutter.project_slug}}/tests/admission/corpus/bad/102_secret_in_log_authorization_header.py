"""Logs the headers of a request."""

from __future__ import annotations

import logging as logs

from fastapi import APIRouter, Request
from pydantic import BaseModel

router = APIRouter(prefix="/v1/echo", tags=["tools"])

logger = logs.getLogger(__name__)


class Echo(BaseModel):
    ok: bool


@router.get("")
async def echo(request: Request) -> Echo:
    """Answer."""
    headers = dict(request.headers)
    logger.info("echo was called with %s", headers)  # expect: secret-in-log
    return Echo(ok=True)
