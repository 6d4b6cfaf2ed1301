"""Removes a cached file by a name from the query."""

from __future__ import annotations

import os
from os import remove as unlink
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/cache-files", tags=["cache"])


class Removed(BaseModel):
    removed: bool


@router.delete("")
def remove_cached(key: Annotated[str, Query(max_length=80)]) -> Removed:
    """Remove a cached file."""
    if (target := f"/var/cache/app/{key}.json") and os.path.exists(target):
        unlink(target)  # expect: path-from-input
        return Removed(removed=True)
    return Removed(removed=False)
