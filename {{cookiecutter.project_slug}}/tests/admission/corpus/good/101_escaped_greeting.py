"""A page of one sentence; the name is escaped before it is put in."""

from __future__ import annotations

import html
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

router = APIRouter(prefix="/v1/greetings", tags=["pages"])

PAGE = "<!doctype html><title>Hello</title><h1>Hello, {name}!</h1>"


@router.get("", response_class=HTMLResponse)
async def greet(name: Annotated[str, Query(min_length=1, max_length=60)] = "you") -> HTMLResponse:
    """Greet somebody."""
    return HTMLResponse(PAGE.format(name=html.escape(name)))
