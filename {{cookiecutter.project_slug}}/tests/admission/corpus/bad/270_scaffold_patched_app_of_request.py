"""Adds a middleware through the application of the request."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

router = APIRouter(prefix="/v1/middlewares", tags=["tools"])


class Added(BaseModel):
    added: bool


class Quiet:
    def __init__(self, app: Any) -> None:
        self.app = app


@router.post("")
async def add(request: Request) -> Added:
    """Add a middleware."""
    request.app.add_middleware(Quiet)  # expect: scaffold-patched
    return Added(added=True)
