"""A table of search results, put together from pieces."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/board", tags=["pages"])


class Board(BaseModel):
    model_config = ConfigDict(extra="forbid")

    titles: list[Annotated[str, Field(max_length=80)]] = Field(max_length=20)


def render(titles: list[str]) -> str:
    rows = "".join("<li>" + title + "</li>" for title in titles)
    return "<ul>" + rows + "</ul>"


@router.post("/render", response_class=HTMLResponse)
async def render_board(board: Board) -> Response:
    """Render a board."""
    page = render(board.titles)
    return Response(content=page, media_type="text/html")  # expect: html-from-input
