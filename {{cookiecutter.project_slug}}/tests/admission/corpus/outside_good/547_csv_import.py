"""Add an endpoint which checks a CSV file of ingredients before anything is imported."""

import csv
import io

from fastapi import APIRouter, HTTPException, UploadFile
from pydantic import BaseModel, ConfigDict, Field, ValidationError

router = APIRouter(prefix="/v1/ingredient-imports", tags=["recipes"])

MAX_BYTES = 200_000
MAX_ROWS = 500


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=80)
    kcal_per_100g: int = Field(ge=0, le=900)


class Report(BaseModel):
    good: int
    bad_lines: list[int]


def examine(text: str) -> Report:
    report = Report(good=0, bad_lines=[])
    for line, raw in enumerate(csv.DictReader(io.StringIO(text)), 2):
        if line > MAX_ROWS + 1:
            raise HTTPException(413, "A file has five hundred rows at most.")
        try:
            Row.model_validate(raw)
        except ValidationError:
            report.bad_lines.append(line)
        else:
            report.good += 1
    return report


@router.post("/check", responses={413: {"description": "Too large."}, 422: {"description": "No CSV in UTF-8."}})
async def check_import(file: UploadFile) -> Report:
    """Say which lines could not be imported."""
    content = await file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise HTTPException(413, "A file has two hundred kilobytes at most.")
    try:
        return examine(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, csv.Error):
        raise HTTPException(422, "This is no CSV in UTF-8.") from None
