"""Through the running loop, and a thread of its own."""

from __future__ import annotations

import hashlib
import threading

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/scans", tags=["scans"])


class Scanning(BaseModel):
    scanning: bool


def _scan() -> None:
    hashlib.sha256(b"scan").hexdigest()


@router.post("", status_code=202)
async def scan() -> Scanning:
    """Start a scan."""
    worker = threading.Thread(target=_scan, daemon=True)  # or: orphan-task
    worker.start()  # expect: orphan-task
    return Scanning(scanning=True)
