"""A badge by string.Template."""

from __future__ import annotations

from string import Template
from typing import Annotated

from fastapi import APIRouter, Path, Response

router = APIRouter(prefix="/v1/badges", tags=["pages"])

BADGE = Template("<svg><text>$label</text></svg>")


@router.get("/{label}", response_class=Response)
async def badge(label: Annotated[str, Path(max_length=30)]) -> Response:
    """Return a badge."""
    drawn = BADGE.substitute(label=label)
    return Response(drawn, media_type="image/svg+xml")  # expect: html-from-input
