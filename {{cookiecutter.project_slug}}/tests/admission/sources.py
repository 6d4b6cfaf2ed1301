"""Handler files for the gate's own tests."""

from __future__ import annotations

import re
from pathlib import Path

from admission.files import Source, read_source

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "admission" / "rules"

GOOD = '''"""Things."""

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter()


class Thing(BaseModel):
    ok: bool


@router.get("/v1/{name}")
async def read() -> Thing:
    return Thing(ok=True)
'''


def good(name: str) -> str:
    """Return a handler that is admitted, with a path of its own."""
    return GOOD.replace("{name}", name)


def write(folder: Path, name: str, text: str) -> Source:
    path = folder / name
    path.write_text(text)
    return read_source(path, ROOT, [ROOT / "app" / "handlers"])


def examples(rule: str, language: str = "python") -> list[str]:
    """Return the examples of a page, the bad one first."""
    return re.findall(rf"```{language}\n(.*?)```", (PAGES / f"{rule}.md").read_text(), re.DOTALL)


def marked(text: str, rule: str) -> list[int]:
    return [number for number, line in enumerate(text.splitlines(), 1) if line.endswith(f"# <- {rule}")]
