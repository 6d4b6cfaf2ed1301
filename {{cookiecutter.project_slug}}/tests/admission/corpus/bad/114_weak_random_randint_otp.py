"""A one-time code by randint."""

from __future__ import annotations

from random import randint as number_between

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/codes", tags=["users"])


class OneTimeCode(BaseModel):
    otp: str


def make_otp() -> str:
    return f"{number_between(0, 999_999):06d}"  # expect: weak-random


@router.post("", status_code=201)
async def send_code() -> OneTimeCode:
    """Make a one-time code."""
    return OneTimeCode(otp=make_otp())
