"""Add an endpoint which counts the words in an OpenDocument text that is uploaded."""

from __future__ import annotations

import io
import zipfile
from typing import Annotated

from fastapi import APIRouter, File, HTTPException, UploadFile
from pydantic import BaseModel

from app.dependencies import Caller

router = APIRouter(prefix="/v1/word-counts", tags=["documents"])

MAX_UPLOAD = 200_000


class WordCount(BaseModel):
    words: int


class OpenDocument:
    """An OpenDocument file, which is a zip archive with a content.xml in it."""

    def __init__(self, raw: bytes) -> None:
        self.archive = zipfile.ZipFile(io.BytesIO(raw))

    def text(self) -> str:
        content = self.archive.read("content.xml")  # expect: unbounded-decompression
        return content.decode("utf-8", "replace")

    def words(self) -> int:
        inside, words = False, []
        for character in self.text():
            inside = character == "<" or (inside and character != ">")
            words.append(" " if inside or character == ">" else character)
        return len("".join(words).split())


@router.post("", responses={413: {"description": "Too large."}, 422: {"description": "Not OpenDocument."}})
async def count_words(file: Annotated[UploadFile, File()], caller: Caller) -> WordCount:
    """Count words."""
    raw = await file.read(MAX_UPLOAD + 1)
    if len(raw) > MAX_UPLOAD:
        raise HTTPException(status_code=413, detail="The file is too large.")
    try:
        return WordCount(words=OpenDocument(raw).words())
    except (zipfile.BadZipFile, KeyError):
        raise HTTPException(status_code=422, detail="This is no OpenDocument text.") from None
