"""A CSV of at most one megabyte, read with its bound."""

from __future__ import annotations

import csv
import io

from fastapi import APIRouter, HTTPException, UploadFile
from pydantic import BaseModel

router = APIRouter(prefix="/v1/price-lists", tags=["uploads"])

MAX_BYTES = 1_000_000


class PriceList(BaseModel):
    rows: int


@router.post("", status_code=201, responses={413: {"description": "More than a megabyte."}})
async def upload_prices(file: UploadFile) -> PriceList:
    """Count the rows of a list."""
    data = await file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise HTTPException(413, "At most one megabyte.")
    rows = sum(1 for _ in csv.reader(io.StringIO(data.decode("utf-8", "replace"))))
    return PriceList(rows=rows)
