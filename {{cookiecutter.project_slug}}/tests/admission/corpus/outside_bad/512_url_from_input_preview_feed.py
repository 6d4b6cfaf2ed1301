"""Add an endpoint that previews the RSS feed a listener wants to subscribe to."""

import re
import urllib.request

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, HttpUrl

router = APIRouter(prefix="/v1/feeds", tags=["podcasts"])

TITLE = re.compile(r"<title>([^<]{1,200})</title>")


class FeedIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: HttpUrl


class FeedOut(BaseModel):
    title: str


class FeedReader:
    """Reads the head of a feed."""

    limit = 65_536

    def title(self, url: str) -> str | None:
        with urllib.request.urlopen(url, timeout=3) as answer:  # expect: url-from-input
            head = answer.read(self.limit).decode("utf-8", "replace")
        found = TITLE.search(head)
        return found.group(1) if found else None


@router.post("/preview")
def preview_feed(wanted: FeedIn) -> FeedOut:
    """Preview a feed."""
    title = FeedReader().title(str(wanted.url))
    if title is None:
        raise HTTPException(422, "There is no title in this feed.")
    return FeedOut(title=title)
