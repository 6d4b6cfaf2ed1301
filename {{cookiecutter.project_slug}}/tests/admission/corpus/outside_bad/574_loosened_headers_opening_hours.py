"""Add an endpoint with the opening hours of the car parks which any website may embed."""

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

EMBEDDABLE = {  # or: loosened-headers
    "Access-Control-Allow-Origin": "*",  # expect: loosened-headers
    "Cache-Control": "private, max-age=300",
}


async def embeddable(response: Response) -> None:
    """Let other sites show the answer."""
    response.headers.update(EMBEDDABLE)


router = APIRouter(prefix="/v1/opening-hours", tags=["parking"], dependencies=[Depends(embeddable)])


class Hours(BaseModel):
    zone: str
    opens: str
    closes: str


HOURS = (Hours(zone="A", opens="06:00", closes="23:00"), Hours(zone="B", opens="00:00", closes="24:00"))


@router.get("")
async def opening_hours() -> list[Hours]:
    return list(HOURS)
