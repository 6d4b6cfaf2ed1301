"""Add an endpoint which shows a title of the catalogue, quickly, since the same ones are asked for again and again."""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, ConfigDict

from app.dependencies import Session
from app.models.libraries import Title

router = APIRouter(prefix="/v1/titles", tags=["library"])


class TitleOut(BaseModel):
    """A title of the catalogue."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    isbn: str
    name: str
    author: str
    year: int


class TitleCache:
    """The titles asked for last: at most five hundred, each for a minute. They are the same for everybody."""

    size = 500
    seconds = 60.0

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, TitleOut]] = OrderedDict()

    def get(self, isbn: str) -> TitleOut | None:
        """Return a title that is fresh."""
        found = self._kept.get(isbn)
        if found is None or found[0] < monotonic():
            return None
        self._kept.move_to_end(isbn)
        return found[1]

    def put(self, title: TitleOut) -> None:
        """Keep a title, and let go of the one that nobody asked for the longest."""
        self._kept[title.isbn] = (monotonic() + self.seconds, title)
        self._kept.move_to_end(title.isbn)
        while len(self._kept) > self.size:
            self._kept.popitem(last=False)


cache = TitleCache()


@router.get("/{isbn}", responses={404: {"description": "No such title."}})
async def read_title(isbn: Annotated[str, Path(pattern=r"^[0-9]{9,12}[0-9X]$")], session: Session) -> TitleOut:
    """Read a title."""
    if (known := cache.get(isbn)) is not None:
        return known
    title = await session.get(Title, isbn)
    if title is None:
        raise HTTPException(404, "No such title.")
    found = TitleOut.model_validate(title)
    cache.put(found)
    return found
