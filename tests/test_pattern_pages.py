"""What a pattern's page shows runs beside a copy of that one file, and the page has what every page has."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import environment, succeed
from tests.support.template import ROOT, SOURCE

if TYPE_CHECKING:
    from pathlib import Path

PAGES = sorted(path for path in (ROOT / "docs" / "patterns").glob("*.md") if path.stem != "README")
SNIPPET = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PARTS = (
    "Protects from", "How it works.", "| setting | default | why |", "```python", "Telemetry.", "When not.",
    "How it fails.", "To lift it:", "Sources.",
)  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_snippet_runs_beside_the_one_file(page: Path, tools: Path, tmp_path: Path) -> None:
    shutil.copy(SOURCE / "app" / "patterns" / f"{page.stem}.py", tmp_path)
    snippets = SNIPPET.findall(page.read_text("utf-8"))
    assert snippets
    for number, snippet in enumerate(snippets):
        (tmp_path / f"snippet_{number}.py").write_text(snippet, "utf-8")
        succeed(tools / "python", f"snippet_{number}.py", cwd=tmp_path, env=environment({}))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_its_parts_in_their_order(page: Path) -> None:
    text = page.read_text("utf-8")
    places = [text.find(part) for part in PARTS]
    assert -1 not in places
    assert places == sorted(places)


def test_every_page_is_listed() -> None:
    listed = set(re.findall(r"\]\((\w+)\.md\)", (ROOT / "docs" / "patterns" / "README.md").read_text("utf-8")))
    assert listed == {page.stem for page in PAGES}
