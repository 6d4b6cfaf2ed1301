"""What a pattern's page shows runs beside a copy of that one file, and the page has what every page has.

The wiring lines of a page make a plain FastAPI application that is none of ours, ``app``, or a ``serve(port)`` of their
own; it is served over a real socket, and the ``prove(url)`` of the page sees the pattern work there.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import environment, succeed
from tests.support.forks import Forks
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


LIBRARIES = (
    "fastapi", "httpx2", "joserfc.jwk", "opentelemetry.sdk.metrics", "opentelemetry.sdk.trace", "orjson",
    "redis.asyncio", "slowapi", "sqlalchemy.ext.asyncio", "structlog", "tenacity",
    "uvicorn.protocols.http.httptools_impl",
)  # fmt: skip
"""What pages and patterns import of others."""


@pytest.fixture(scope="module")
def forks(tools: Path) -> Iterator[Forks]:
    """Return an interpreter of the service's environment to fork from."""
    find = "from tests.support.redis_server import find_server; print(find_server())"
    redis = succeed(tools / "python", "-c", find, cwd=SOURCE).strip()
    with Forks(tools / "python", LIBRARIES, environment({"REDIS_BIN": redis})) as started:
        yield started


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_snippet_runs_beside_the_one_file(page: Path, forks: Forks, tmp_path: Path) -> None:
    shutil.copy(SOURCE / "app" / "patterns" / f"{page.stem}.py", tmp_path)
    snippets = SNIPPET.findall(page.read_text("utf-8"))
    assert snippets
    for snippet in snippets:
        forks.run(tmp_path, snippet)


SERVE = """
import wired
if __name__ == "__main__":  # a page may start processes, which import this file
    if hasattr(wired, "serve"):
        wired.serve({port})
    else:
        import uvicorn
        uvicorn.run(wired.app, host="127.0.0.1", port={port}, log_level="warning")
"""


@contextlib.contextmanager
def served(folder: Path, forks: Forks) -> Iterator[str]:
    """Serve what the wiring lines made, and yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    log = folder / "server.log"
    with forks.running(folder, SERVE.format(port=port), log) as pid:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert not forks.ended(pid), log.read_text("utf-8", "replace")
                assert time.monotonic() < end
                time.sleep(0.02)  # between two looks whether it listens
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_wiring_lines_work_in_a_plain_application(page: Path, forks: Forks, tmp_path: Path) -> None:
    shutil.copy(SOURCE / "app" / "patterns" / f"{page.stem}.py", tmp_path)
    (lines,) = WIRING.findall(page.read_text("utf-8"))
    (tmp_path / "wired.py").write_text(lines, "utf-8")
    with served(tmp_path, forks) as url:
        forks.run(tmp_path, f"import wired; wired.prove({url!r})")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_its_parts_in_their_order(page: Path) -> None:
    text = page.read_text("utf-8")
    places = [text.find(part) for part in PARTS]
    assert -1 not in places
    assert places == sorted(places)


def test_every_page_is_listed() -> None:
    listed = set(re.findall(r"\]\((\w+)\.md\)", (ROOT / "docs" / "patterns" / "README.md").read_text("utf-8")))
    assert listed == {page.stem for page in PAGES}
