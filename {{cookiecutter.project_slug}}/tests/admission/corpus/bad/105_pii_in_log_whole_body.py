"""Prints the whole body."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/addresses", tags=["users"])


class Address(BaseModel):
    model_config = ConfigDict(extra="forbid")

    street: str = Field(max_length=100)
    city: str = Field(max_length=60)


class Saved(BaseModel):
    saved: bool


@router.put("/mine")
async def save_address(address: Address) -> Saved:
    """Save an address."""
    print("received", address)  # expect: pii-in-log
    return Saved(saved=True)
