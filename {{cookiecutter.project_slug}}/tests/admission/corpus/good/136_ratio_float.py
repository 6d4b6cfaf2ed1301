"""A float that is a ratio and not money."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/progress", tags=["tasks"])


class Progress(BaseModel):
    model_config = ConfigDict(extra="forbid")

    done_ratio: float = Field(ge=0, le=1, allow_inf_nan=False)


class ProgressOut(BaseModel):
    percent: int


@router.put("/mine")
async def set_progress(progress: Progress) -> ProgressOut:
    """Set how far you are."""
    return ProgressOut(percent=round(progress.done_ratio * 100))
