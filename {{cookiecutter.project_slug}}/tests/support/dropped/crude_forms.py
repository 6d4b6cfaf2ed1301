"""Handlers that take forms and believe in what they get, each in its own way."""

import time
from typing import Annotated

from fastapi import APIRouter, Form, UploadFile
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

router = APIRouter(prefix="/v1/candidates")


class Listed(BaseModel):
    words: list[str]


@router.post("/crude-forms")
async def crude_form(count: Annotated[str, Form(max_length=10, examples=["1"])]) -> int:
    return int(count)


@router.post("/crude-uploads", response_class=HTMLResponse)
async def crude_upload(file: UploadFile) -> str:
    return f"<h1>{file.filename}</h1>"


KEPT: list[bytes] = []


@router.post("/hoarding-uploads")
async def hoarding_upload(file: UploadFile) -> int:
    KEPT.append(await file.read() * 500)
    return len(KEPT)


@router.post("/dear-forms")
async def dear_form(listed: Annotated[Listed, Form()]) -> int:
    time.sleep(len(listed.words) / 120)
    return len(listed.words)
