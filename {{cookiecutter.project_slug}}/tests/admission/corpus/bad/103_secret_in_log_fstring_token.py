"""Logs an API token in a helper."""

from __future__ import annotations

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/integrations", tags=["integrations"])

log = structlog.get_logger(__name__)


class IntegrationIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=40)
    api_token: str = Field(max_length=200)


class IntegrationOut(BaseModel):
    name: str


def _note(event: str, detail: str) -> None:
    log.info(event, detail=detail)  # expect: secret-in-log


@router.post("", status_code=201)
async def integrate(wanted: IntegrationIn) -> IntegrationOut:
    """Add an integration."""
    _note("integration_added", f"{wanted.name} with {wanted.api_token}")
    return IntegrationOut(name=wanted.name)
