"""A page that greets by name."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

router = APIRouter(prefix="/v1/pages", tags=["pages"])


@router.get("/hello", response_class=HTMLResponse)
async def hello(name: Annotated[str, Query(max_length=60)] = "you") -> HTMLResponse:
    """Greet somebody."""
    return HTMLResponse(f"<!doctype html><h1>Hello, {name}!</h1>")  # expect: html-from-input
