"""Add an endpoint which computes a smoothed series of sensor values, without slowing down anybody else."""

import asyncio
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/smoothing", tags=["sensors"])

Value = Annotated[float, Field(ge=-1e6, le=1e6)]

slots = asyncio.Semaphore(4)


class SeriesIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    values: Annotated[list[Value], Field(min_length=2, max_length=2000)]
    window: Annotated[int, Field(ge=1, le=50)] = 5


class SeriesOut(BaseModel):
    values: list[float]


def smooth(values: list[float], window: int) -> list[float]:
    return [sum(part) / len(part) for i in range(len(values)) if (part := values[max(0, i - window + 1) : i + 1])]


@router.post("")
async def smooth_series(series: SeriesIn) -> SeriesOut:
    """Compute in a thread, four at a time; the rest wait, as long as their deadline lets them."""
    async with slots:
        return SeriesOut(values=await asyncio.to_thread(smooth, series.values, series.window))
