"""Names with token, key and secret in them that are none."""

from __future__ import annotations

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/tokenizer", tags=["texts"])

TOKEN_KIND = "word"
KEYBOARD = "qwerty"
log = structlog.get_logger()


class TextIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=2000)


class TextOut(BaseModel):
    token_count: int
    kind: str


@router.post("")
async def tokenize(wanted: TextIn) -> TextOut:
    """Count the words."""
    token_count = len(wanted.text.split())
    log.info("tokenized", token_count=token_count, kind=TOKEN_KIND)
    return TextOut(token_count=token_count, kind=TOKEN_KIND)
