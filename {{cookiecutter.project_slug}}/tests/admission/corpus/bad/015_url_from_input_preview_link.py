"""Fetches a page to show its title."""

from __future__ import annotations

import re
import urllib.request
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/link-previews", tags=["messages"])

TITLE = re.compile(r"<title>([^<]{1,200})</title>")


class Preview(BaseModel):
    title: str | None


@router.get("")
def preview(link: Annotated[str, Query(max_length=500, pattern="^https://")]) -> Preview:
    """Return the title of a page."""
    with urllib.request.urlopen(link, timeout=3) as answer:  # expect: url-from-input
        found = TITLE.search(answer.read(50_000).decode("utf-8", "replace"))
    return Preview(title=found[1] if found else None)
