"""Add an endpoint which returns the transcript of an episode that lies in the transcripts folder."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/transcripts", tags=["podcasts"])

TRANSCRIPTS = Path("data/transcripts")


class Transcript(BaseModel):
    name: str
    text: str


def _load(name: str) -> str:
    path = TRANSCRIPTS / name  # expect: path-from-input
    if not path.is_file():
        raise HTTPException(404, "No such transcript.")
    with path.open(encoding="utf-8") as file:
        return file.read(200_000)


@router.get("", responses={404: {"description": "No such transcript."}})
def read_transcript(name: Annotated[str, Query(min_length=1, max_length=100)]) -> Transcript:
    """Read a transcript. It is a plain function, so reading the disk does not hold up anybody."""
    return Transcript(name=name, text=_load(name))
