"""Reads a configuration with yaml.load."""

from __future__ import annotations

from typing import Any

import yaml
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/pipelines", tags=["pipelines"])


class PipelineIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    definition: str = Field(max_length=10_000)


class PipelineOut(BaseModel):
    steps: int


def _parse(definition: str) -> dict[str, Any]:
    return yaml.load(definition, Loader=yaml.Loader)  # expect: unsafe-deserialisation


@router.post("")
async def check_pipeline(wanted: PipelineIn) -> PipelineOut:
    """Count the steps of a pipeline."""
    return PipelineOut(steps=len(_parse(wanted.definition)["steps"]))
