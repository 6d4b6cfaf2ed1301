"""Add an endpoint which tells the app which elections features are switched on."""

import os

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/election-features", tags=["elections"])


class Features(BaseModel):
    ranked_choice: bool
    live_results: bool


def _flag(name: str, default: str = "0") -> bool:
    return os.getenv(f"ELECTIONS_{name}", default) == "1"  # expect: environment-read


@router.get("")
async def features() -> Features:
    return Features(ranked_choice=_flag("RANKED_CHOICE"), live_results=_flag("LIVE_RESULTS"))
