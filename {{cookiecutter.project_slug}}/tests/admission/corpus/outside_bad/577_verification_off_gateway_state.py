"""Add an endpoint which asks a depot's scanner gateway how it is; its certificate is one of its own."""

from __future__ import annotations

import asyncio
import http.client
import ssl
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/scanner-gateways", tags=["logistics"])


class GatewayState(BaseModel):
    """How a gateway answers."""

    site: Literal["north", "south"]
    status: int


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # expect: verification-off
    return context


def _status(site: str) -> int:
    connection = http.client.HTTPSConnection(f"{site}.scan.internal", timeout=2, context=_context())  # or: verification-off
    try:
        connection.request("GET", "/status")
        return connection.getresponse().status
    finally:
        connection.close()


@router.get("/{site}")
async def gateway_state(site: Literal["north", "south"]) -> GatewayState:
    """Ask a gateway."""
    return GatewayState(site=site, status=await asyncio.to_thread(_status, site))
