"""Add an endpoint which fetches the title of a web page that a user pastes in, for a preview."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import AnyUrl, BaseModel, ConfigDict, UrlConstraints

from app.dependencies import UrlRefused, Web

router = APIRouter(prefix="/v1/previews", tags=["links"])

HEAD = 50_000
MAX_TITLE = 200


class PreviewIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: Annotated[AnyUrl, UrlConstraints(max_length=500, allowed_schemes=["https"])]


class Preview(BaseModel):
    """The title, as text: who shows it escapes it."""

    title: str | None


class TitleParser(HTMLParser):
    """Picks the title out of a page's beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = False
        self.title: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag == "title" and self.title is None

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.title = data.strip()[:MAX_TITLE]


@router.post("", responses={422: {"description": "The URL leads nowhere that is public."}})
async def preview(body: PreviewIn, web: Web) -> Preview:
    """Fetch a page, through what refuses private addresses and more than a megabyte."""
    try:
        answer = await web.fetch(str(body.url))
    except UrlRefused:
        raise HTTPException(422, "This URL cannot be previewed.") from None
    parser = TitleParser()
    parser.feed(answer.body[:HEAD].decode("utf-8", "replace"))
    return Preview(title=parser.title)
