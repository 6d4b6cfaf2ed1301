"""HTTP Basic of its own."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.security import HTTPBasic
from pydantic import BaseModel

router = APIRouter(prefix="/v1/metrics-page", tags=["metrics"])

basic = HTTPBasic()  # expect: own-authentication


class Metrics(BaseModel):
    user: str


@router.get("")
async def metrics_page(credentials: Annotated[Any, Depends(basic)]) -> Metrics:
    """Greet who looks at metrics."""
    return Metrics(user=credentials.username)
