"""Add an endpoint which checks the number on a parcel label and says what is wrong with it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/label-numbers", tags=["logistics"])


class LabelIn(BaseModel):
    """What is printed on a label."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=40)]


class LabelOut(BaseModel):
    """What it means."""

    carrier: str
    serial: int


class NotALabel(ValueError):
    """The text is no label."""


class WrongCheckDigit(NotALabel):
    """The last digit does not fit the others."""


def parse(text: str) -> LabelOut:
    """Take a label apart: two letters, eight digits, a check digit."""
    carrier, digits = text[:2], text[2:]
    if not (text.isascii() and carrier.isalpha() and carrier.isupper() and digits.isdigit() and len(digits) == 9):
        raise NotALabel
    if sum(int(digit) * weight for digit, weight in zip(digits, (8, 6, 4, 2, 3, 5, 9, 7, 1), strict=True)) % 11:
        raise WrongCheckDigit
    return LabelOut(carrier=carrier, serial=int(digits[:-1]))


@router.post("/check", responses={422: {"description": "No label, or a wrong one."}})
async def check_label(wanted: LabelIn) -> LabelOut:
    """Check a label."""
    try:
        return parse(wanted.text)
    except WrongCheckDigit:
        raise HTTPException(422, "The check digit is wrong.") from None
    except NotALabel:
        raise HTTPException(422, "A label is two letters and nine digits.") from None
