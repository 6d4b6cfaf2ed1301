"""Add an endpoint which lets a customer download one of the published price lists by its file name."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

from app.dependencies import Caller

router = APIRouter(prefix="/v1/price-lists", tags=["price lists"])

FOLDER = Path("data/price-lists")


@router.get("/{name:path}", response_class=FileResponse)
async def download(name: str, caller: Caller) -> FileResponse:
    """Hand out a price list."""
    return FileResponse(FOLDER / name, media_type="application/pdf")  # expect: path-from-input
