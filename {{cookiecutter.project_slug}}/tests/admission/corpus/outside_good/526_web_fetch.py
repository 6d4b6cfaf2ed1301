"""Add an endpoint that previews the RSS feed a listener wants to subscribe to."""

from __future__ import annotations

import re

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import UrlRefused, Web

router = APIRouter(prefix="/v1/feeds", tags=["podcasts"])

TITLE = re.compile(r"<title>([^<]{1,200})</title>")
HEAD = 65_536


class FeedIn(BaseModel):
    """Where the feed is."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=12, max_length=500, pattern=r"^https://[^\s\x00]+$")


class FeedOut(BaseModel):
    """What it is called."""

    title: str


@router.post("/preview", responses={422: {"description": "It cannot be fetched, or is no feed."}})
async def preview_feed(wanted: FeedIn, web: Web) -> FeedOut:
    """Preview a feed. Private addresses are refused, and so is more than a megabyte."""
    try:
        answer = await web.fetch(wanted.url)
    except UrlRefused:
        raise HTTPException(422, "This address cannot be fetched.") from None
    found = TITLE.search(answer.body[:HEAD].decode("utf-8", "replace"))
    if found is None:
        raise HTTPException(422, "There is no title in this feed.")
    return FeedOut(title=found.group(1).strip())
