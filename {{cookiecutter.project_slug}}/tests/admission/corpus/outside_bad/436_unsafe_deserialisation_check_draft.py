"""Add an endpoint which takes a course definition as YAML, because that is what the authors write, and checks it."""

from __future__ import annotations

from typing import Annotated, Literal

import yaml
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.dependencies import Caller

router = APIRouter(prefix="/v1/course-drafts", tags=["courses"])


class DraftIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, Field(min_length=1, max_length=20_000)]


class CourseDraft(BaseModel):
    """What a definition has to say."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=120)]
    level: Literal["beginner", "advanced"]
    lessons: Annotated[list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=60)]


class DraftOut(BaseModel):
    title: str
    lessons: int


class DraftReader:
    """Reads definitions."""

    loader = yaml.UnsafeLoader  # or: unsafe-deserialisation

    def read(self, source: str) -> CourseDraft:
        return CourseDraft.model_validate(yaml.load(source, Loader=self.loader))  # expect: unsafe-deserialisation


@router.post("/check", responses={422: {"description": "Not a course definition."}})
async def check_draft(body: DraftIn, caller: Caller) -> DraftOut:
    """Check a definition without keeping it."""
    try:
        draft = DraftReader().read(body.source)
    except (yaml.YAMLError, ValidationError):
        raise HTTPException(status_code=422, detail="This is not a course definition.") from None
    return DraftOut(title=draft.title, lessons=len(draft.lessons))
