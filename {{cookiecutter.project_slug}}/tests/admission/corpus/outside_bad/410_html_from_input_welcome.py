"""Add a landing page which greets the invited person by name and names the team that invites."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

router = APIRouter(prefix="/v1/welcome", tags=["welcome"])


@router.get("", response_class=HTMLResponse)
async def welcome(
    name: Annotated[str, Query(min_length=1, max_length=60)],
    team: Annotated[str, Query(min_length=1, max_length=60)] = "our team",
) -> HTMLResponse:
    """Say welcome."""
    return HTMLResponse(  # or: html-from-input
        f"<!doctype html><title>Welcome</title><h1>Welcome, {name}!</h1><p>{team} is happy to see you.</p>"  # expect: html-from-input
    )
