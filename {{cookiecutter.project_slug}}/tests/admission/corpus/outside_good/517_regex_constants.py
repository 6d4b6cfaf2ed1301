"""Add an endpoint which finds the placeholders of a phrase and says which are missing in its translation."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/placeholder-checks", tags=["translations"])

PLACEHOLDER = re.compile(r"\{([a-z_]{1,40})\}|%\(([a-z_]{1,40})\)[sd]|%([1-9])\$[sd]")


class PairIn(BaseModel):
    """A text and its translation."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, Field(min_length=1, max_length=2000)]
    translation: Annotated[str, Field(min_length=1, max_length=2000)]


class PairOut(BaseModel):
    """Placeholders of one side only."""

    missing: list[str]
    unknown: list[str]


def placeholders(text: str) -> set[str]:
    """Return the names in a text."""
    return {next(filter(None, found.groups())) for found in PLACEHOLDER.finditer(text)}


@router.post("")
async def check_placeholders(pair: PairIn) -> PairOut:
    """Compare both sides."""
    wanted, given = placeholders(pair.source), placeholders(pair.translation)
    return PairOut(missing=sorted(wanted - given), unknown=sorted(given - wanted))
