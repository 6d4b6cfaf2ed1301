"""Credentials of a database in a dictionary."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/archive", tags=["archive"])

ARCHIVE = {
    "host": "archive.internal",
    "user": "reader",
    "password": "Winter2024!archive",  # expect: hard-coded-secret
}


class Archive(BaseModel):
    host: str


@router.get("")
async def archive() -> Archive:
    """Say where the archive is."""
    return Archive(host=ARCHIVE["host"])
