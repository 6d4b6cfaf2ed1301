"""What a pattern's page shows runs beside a copy of that one file, and the page has what every page has.

The wiring lines of a page make a plain FastAPI application that is none of ours, ``app``, or a ``serve(port)`` of their
own; it is served over a real socket, and the ``prove(url)`` of the page sees the pattern work there.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import environment, succeed
from tests.support.template import ROOT, SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = sorted(path for path in (ROOT / "docs" / "patterns").glob("*.md") if path.stem != "README")
SNIPPET = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
WIRING = re.compile(r"^```python wiring\n(.*?)^```", re.MULTILINE | re.DOTALL)
START_SECONDS = 30.0
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


SERVE = """
import sys, wired
if hasattr(wired, "serve"):
    wired.serve(int(sys.argv[1]))
else:
    import uvicorn
    uvicorn.run(wired.app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""


@contextlib.contextmanager
def served(folder: Path, tools: Path) -> Iterator[str]:
    """Serve what the wiring lines made, and yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    command = (str(tools / "python"), "-c", SERVE, str(port))
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment({}), stdout=log, stderr=log)
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "server.log").read_text("utf-8", "replace")
                assert time.monotonic() < end
                time.sleep(0.02)  # between two looks whether it listens
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(START_SECONDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_wiring_lines_work_in_a_plain_application(page: Path, tools: Path, tmp_path: Path) -> None:
    shutil.copy(SOURCE / "app" / "patterns" / f"{page.stem}.py", tmp_path)
    (lines,) = WIRING.findall(page.read_text("utf-8"))
    (tmp_path / "wired.py").write_text(lines, "utf-8")
    with served(tmp_path, tools) as url:
        succeed(tools / "python", "-c", f"import wired; wired.prove({url!r})", cwd=tmp_path, env=environment({}))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_its_parts_in_their_order(page: Path) -> None:
    text = page.read_text("utf-8")
    places = [text.find(part) for part in PARTS]
    assert -1 not in places
    assert places == sorted(places)


def test_every_page_is_listed() -> None:
    listed = set(re.findall(r"\]\((\w+)\.md\)", (ROOT / "docs" / "patterns" / "README.md").read_text("utf-8")))
    assert listed == {page.stem for page in PAGES}
