"""Reads `name=value` lines without any evaluation."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/option-lines", tags=["tools"])


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=2000)


class Parsed(BaseModel):
    names: list[str]


def parse(source: str) -> dict[str, str]:
    """Return names and values of lines like `name=value`."""
    pairs = (line.partition("=") for line in source.splitlines()[:100])
    return {name.strip(): value.strip() for name, mark, value in pairs if mark}


@router.post("")
async def parse_options(options: Options) -> Parsed:
    """Say which names there are."""
    return Parsed(names=sorted(parse(options.text)))
