"""Says that it returns any dictionary."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(prefix="/v1/status-page", tags=["status"])


@router.get("/current")  # expect: no-response-model
async def current() -> dict:
    """Return the status."""
    return {"status": "up", "since": "2026-01-01T00:00:00Z"}
