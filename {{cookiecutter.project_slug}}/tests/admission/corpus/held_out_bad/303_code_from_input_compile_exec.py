"""Runs a script of the client's with a restricted namespace."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/automations", tags=["automations"])


class Automation(BaseModel):
    model_config = ConfigDict(extra="forbid")

    script: str = Field(max_length=1000)


class Outcome(BaseModel):
    names: list[str]


def run(script: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    code = compile(script, "<automation>", "exec")  # expect: code-from-input
    exec(code, namespace)  # or: code-from-input
    return namespace


@router.post("")
async def automate(automation: Automation) -> Outcome:
    """Run an automation."""
    return Outcome(names=sorted(run(automation.script))[:20])
