"""Reads the body of the request by itself."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel

router = APIRouter(prefix="/v1/imports", tags=["imports"])


class Imported(BaseModel):
    lines: int


@router.post("", status_code=201)
async def import_lines(request: Request) -> Imported:
    """Import lines."""
    body = await request.body()  # expect: unbounded-upload
    return Imported(lines=body.count(b"\n"))
