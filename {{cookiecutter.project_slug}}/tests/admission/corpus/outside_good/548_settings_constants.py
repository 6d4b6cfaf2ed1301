"""Add an endpoint which tells the app which elections features there are."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

router = APIRouter(prefix="/v1/election-features", tags=["elections"])


class Features(BaseModel):
    """What the app may offer."""

    model_config = ConfigDict(frozen=True)

    ranked_choice: bool = True
    live_results: bool = False
    max_candidates: int = 40


FEATURES: Final = Features()


@router.get("")
async def features(response: Response) -> Features:
    """List the features. They change with a release and not with the environment."""
    response.headers["Cache-Control"] = "private, max-age=300"
    return FEATURES
