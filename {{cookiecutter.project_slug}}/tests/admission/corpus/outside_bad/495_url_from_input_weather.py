"""Add an endpoint which says in one line how the weather will be at one of our event venues."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field, ValidationError

from app.dependencies import Web

router = APIRouter(prefix="/v1/weather", tags=["events"])

FORECASTS = "https://forecasts.example.com/v2/daily"


class Upstream(BaseModel):
    """What the weather service says; the rest of it is ignored."""

    summary: Annotated[str, Field(max_length=200)]
    high: Annotated[float, Field(ge=-90, le=70)]


class Weather(BaseModel):
    """The forecast for one place."""

    place: str
    summary: str
    high: float


@router.get("", response_model=Weather, responses={502: {"description": "The forecast cannot be read."}})
async def weather(
    web: Web,
    place: Annotated[str, Query(min_length=1, max_length=80)],
    units: Annotated[str, Query(min_length=1, max_length=10)] = "metric",
) -> Weather:
    """Fetch a forecast."""
    answer = await web.fetch(f"{FORECASTS}?place={place}&units={units}")  # expect: url-from-input
    try:
        forecast = Upstream.model_validate_json(answer.body)
    except ValidationError:
        raise HTTPException(502, "The forecast cannot be read.") from None
    return Weather(place=place, summary=forecast.summary, high=forecast.high)
