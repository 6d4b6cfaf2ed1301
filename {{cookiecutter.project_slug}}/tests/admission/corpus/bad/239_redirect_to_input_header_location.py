"""A Location header from the body."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/jumps", tags=["links"])


class Jump(BaseModel):
    model_config = ConfigDict(extra="forbid")

    target: str = Field(max_length=300)


@router.post("", status_code=303)
async def jump(wanted: Jump) -> Response:
    """Go to a target."""
    return Response(status_code=303, headers={"Location": wanted.target})  # expect: redirect-to-input
