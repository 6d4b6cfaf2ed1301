"""Add an endpoint which issues a gift card over an amount and returns its code."""

from __future__ import annotations

import hashlib
import random
import string
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.wallets import GiftCard

router = APIRouter(prefix="/v1/gift-cards", tags=["gift cards"])

ALPHABET = string.ascii_uppercase + string.digits


class GiftCardIn(BaseModel):
    """How much it is worth, in cents."""

    model_config = ConfigDict(extra="forbid")

    amount: Annotated[int, Field(ge=500, le=50_000, strict=True)]


class GiftCardOut(BaseModel):
    """The card. Its code is shown this once."""

    code: str
    amount: int


@router.post("", status_code=201)
async def issue(body: GiftCardIn, db: Session) -> GiftCardOut:
    """Issue a gift card."""
    code = "".join(random.choices(ALPHABET, k=20))  # expect: weak-random
    db.add(GiftCard(code_hash=hashlib.sha256(code.encode()).hexdigest(), remaining=body.amount))
    return GiftCardOut(code=code, amount=body.amount)
