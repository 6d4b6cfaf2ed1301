"""Helper modules of handlers: what they declare for requests is judged where it stands, for no handler shows it."""

from __future__ import annotations

from admission.source import check_source

HELPER = '''"""Words that handlers take."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer


def tidy(said: str) -> str:
    return " ".join(said.split())


Words = Annotated[str, AfterValidator(tidy)]
Short = Annotated[str, Field(max_length=40), AfterValidator(tidy)]
Shown = Annotated[str, PlainSerializer(str.upper)]


class NoteIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Short
    text: str


class NoteOut(BaseModel):
    text: str
    shown: Shown
'''


def refused(file: str) -> list[tuple[str, str]]:
    lines = HELPER.splitlines()
    return [
        (finding.rule, lines[finding.line - 1].split()[0])
        for finding in check_source(HELPER, file)
        if finding.severity == "refuse"
    ]


def test_models_and_types_that_a_helper_declares_for_requests_have_bounds() -> None:
    assert refused("app/handlers/_words.py") == [("BW401", "Words"), ("BW401", "text:")]


def test_elsewhere_what_nobody_takes_is_nobodys_input() -> None:
    assert refused("app/handlers/words.py") == []
