"""A class whose method blocks, called from a coroutine."""

from __future__ import annotations

import urllib3
from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/weather", tags=["weather"])


class WeatherClient:
    def __init__(self) -> None:
        self.pool = urllib3.PoolManager(timeout=2)

    def current(self) -> int:
        return int(self.pool.request("GET", "https://weather.example.com/now").data)  # expect: blocking-in-async


class Weather(BaseModel):
    celsius: int


@router.get("")
async def weather() -> Weather:
    """Say how warm it is."""
    return Weather(celsius=WeatherClient().current())
