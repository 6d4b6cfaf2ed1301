"""Add an endpoint which tells the app whether the caller takes part in the new ranking's trial."""

import zlib

from fastapi import APIRouter
from pydantic import BaseModel

from app.dependencies import Caller

router = APIRouter(prefix="/v1/trials", tags=["games"])

SHARE_PERCENT = 20


class Trial(BaseModel):
    name: str
    takes_part: bool


def bucket(trial: str, subject: str) -> int:
    """Spread people evenly; a checksum does, for there is nothing to win in another bucket."""
    return zlib.crc32(f"{trial}:{subject}".encode()) % 100


@router.get("/ranking")
async def ranking_trial(caller: Caller) -> Trial:
    return Trial(name="ranking", takes_part=bucket("ranking", caller.subject) < SHARE_PERCENT)
