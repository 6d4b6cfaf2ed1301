"""A bearer scheme of its own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

router = APIRouter(prefix="/v1/reports", tags=["reports"])

bearer = HTTPBearer()  # expect: own-authentication


class Report(BaseModel):
    length: int


@router.get("")
async def report(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> Report:
    """Return a report."""
    return Report(length=len(credentials.credentials))
