"""A filter object that compiles what it is given."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/log-filters", tags=["logs"])


class Lines(BaseModel):
    model_config = ConfigDict(extra="forbid")

    exclude: str = Field(max_length=80)
    lines: list[Annotated[str, Field(max_length=200)]] = Field(max_length=100)


class Kept(BaseModel):
    lines: list[str]


class Excluding:
    def __init__(self, expression: str) -> None:
        self.expression = re.compile(expression)  # expect: regex-from-input

    def keeps(self, line: str) -> bool:
        return not self.expression.match(line)


@router.post("")
async def filter_lines(wanted: Lines) -> Kept:
    """Drop the lines that match."""
    excluding = Excluding(wanted.exclude)
    return Kept(lines=[line for line in wanted.lines if excluding.keeps(line)])
