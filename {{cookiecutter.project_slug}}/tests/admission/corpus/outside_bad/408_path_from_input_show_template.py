"""Add an endpoint which shows an e-mail template in a language, so that the content team can proof-read it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel

from app.dependencies import Caller

router = APIRouter(prefix="/v1/templates", tags=["templates"])


class TemplateOut(BaseModel):
    """One template as it is sent."""

    name: str
    language: str
    text: str


class TemplateStore:
    """Reads templates below a folder, one folder for each language."""

    root = Path("data/templates")

    def locate(self, name: str, language: str) -> Path:
        return self.root.joinpath(language, name + ".txt")  # expect: path-from-input

    async def load(self, name: str, language: str) -> str | None:
        try:
            return await asyncio.to_thread(self.locate(name, language).read_text, encoding="utf-8")
        except FileNotFoundError:
            return None


@router.get("", responses={404: {"description": "No such template."}})
async def show_template(
    caller: Caller,
    store: Annotated[TemplateStore, Depends(TemplateStore)],
    name: Annotated[str, Query(min_length=1, max_length=60)],
    language: Annotated[str, Query(min_length=2, max_length=10)] = "en",
) -> TemplateOut:
    """Show a template."""
    text = await store.load(name, language)
    if text is None:
        raise HTTPException(404, "No such template.")
    return TemplateOut(name=name, language=language, text=text)
