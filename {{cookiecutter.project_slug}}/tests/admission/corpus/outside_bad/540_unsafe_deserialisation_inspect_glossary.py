"""Add an endpoint that imports a translation glossary in YAML."""

from typing import Annotated, Any

import yaml
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/glossaries", tags=["translations"])


class GlossaryIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    yaml_text: Annotated[str, Field(min_length=1, max_length=50_000)]


class GlossaryOut(BaseModel):
    terms: int
    languages: list[str]


class GlossaryReader:
    """Understands the glossaries that our agencies send."""

    def read(self, text: str) -> dict[str, Any]:
        try:
            document = yaml.load(text, Loader=yaml.Loader)  # expect: unsafe-deserialisation
        except yaml.YAMLError:
            raise HTTPException(422, "This is no YAML.") from None
        if not isinstance(document, dict):
            raise HTTPException(422, "A glossary is a mapping of terms.")
        return document


@router.post("/inspect")
async def inspect_glossary(wanted: GlossaryIn) -> GlossaryOut:
    document = GlossaryReader().read(wanted.yaml_text)
    languages = {str(name) for entry in document.values() if isinstance(entry, dict) for name in entry}
    return GlossaryOut(terms=len(document), languages=sorted(languages)[:100])
