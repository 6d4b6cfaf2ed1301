"""Reads a mail template by its name."""

from __future__ import annotations

import pathlib
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

router = APIRouter(prefix="/v1/templates", tags=["mail"])

TEMPLATES = pathlib.Path("/srv/templates")


class Template(BaseModel):
    text: str


def _load(name: str) -> str:
    target = TEMPLATES / f"{name}.txt"
    return target.read_text("utf-8")  # expect: path-from-input


@router.get("/{name:path}")
def read_template(name: Annotated[str, Path(max_length=100)]) -> Template:
    """Return the text of a template."""
    return Template(text=_load(name))
