"""A memoised calculation with a bound."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

router = APIRouter(prefix="/v1/primes", tags=["tools"])


class Prime(BaseModel):
    prime: bool


@lru_cache(maxsize=1024)
def is_prime(number: int) -> bool:
    return number > 1 and all(number % each for each in range(2, math.isqrt(number) + 1))


@router.get("/{number}")
async def prime(number: Annotated[int, Path(ge=0, le=100_000)]) -> Prime:
    """Say whether a number is prime."""
    return Prime(prime=is_prime(number))
