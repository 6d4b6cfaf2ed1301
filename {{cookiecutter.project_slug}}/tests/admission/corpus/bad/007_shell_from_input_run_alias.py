"""Runs git to read the log of a repository."""

from __future__ import annotations

from subprocess import run as start
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/repositories", tags=["repositories"])


class Log(BaseModel):
    lines: list[str]


@router.get("/{name}/log")
def log(
    name: Annotated[str, Path(max_length=60)], branch: Annotated[str, Query(max_length=60)] = "main"
) -> Log:
    """Return the latest twenty commits."""
    done = start(["git", "-C", f"/srv/git/{name}", "log", "-20", "--oneline", branch], capture_output=True, text=True, timeout=5)  # expect: shell-from-input
    return Log(lines=done.stdout.splitlines()[:20])
