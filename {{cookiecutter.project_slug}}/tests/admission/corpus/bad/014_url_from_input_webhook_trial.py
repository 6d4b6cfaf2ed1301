"""Sends a test event to the URL a client registered."""

from __future__ import annotations

import httpx2
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, HttpUrl

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


class WebhookTest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: HttpUrl


class Delivered(BaseModel):
    status: int


@router.post("/test")
async def test_webhook(wanted: WebhookTest) -> Delivered:
    """Send a test event."""
    async with httpx2.AsyncClient(timeout=5) as client:
        answer = await client.post(str(wanted.url), json={"event": "test"})  # expect: url-from-input
    return Delivered(status=answer.status_code)
