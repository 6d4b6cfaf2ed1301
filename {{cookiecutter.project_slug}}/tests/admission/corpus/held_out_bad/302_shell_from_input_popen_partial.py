"""Counts lines by a partial of Popen."""

from __future__ import annotations

import subprocess
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/line-counts", tags=["files"])

shell = partial(subprocess.Popen, shell=True, stdout=subprocess.PIPE)


class Count(BaseModel):
    lines: int


@router.get("")
def count_lines(name: Annotated[str, Query(max_length=60)]) -> Count:
    """Count the lines of a log."""
    process = shell(f"wc -l < /var/log/{name}")  # expect: shell-from-input
    out, _ = process.communicate(timeout=3)
    return Count(lines=int(out))
